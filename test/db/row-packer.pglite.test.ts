// The bulk way of reading rows against the way of single rows, over a table with a column of every type.
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { packedToRows } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { CatalogTable } from '../../server/catalog/catalog.ts'
import { idOf, RowBytes, RowKeeper, toObject, valueOf } from '../../server/db/row-bytes.ts'
import { rawRows, recordColumns, selectList, toRecordValue, toRow } from '../../server/db/row-codec.ts'
import { binarySelectList, createBulkSocket, queryRaw, RowDecoder, RowPacker } from '../../server/db/row-packer.ts'
import { sampleRows, sampleTable } from '../protocol/sample-table.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const sqlTypes: Readonly<Record<string, string>> = {
  double: 'double precision',
  timestamptz: 'timestamptz(3)',
  vector: 'vector(3)',
  numeric: 'numeric',
}
// Only what the codecs read of a table.
const table = {
  name: 'samples',
  descriptor: sampleTable,
  sqlColumns: Object.entries(sampleTable.columns).map(([property, { name, type, precision, scale }]) => ({
    name,
    property,
    sqlType: precision === undefined ? (sqlTypes[type] ?? type) : `numeric(${precision},${scale ?? 0})`,
  })),
} as unknown as CatalogTable

const everything = Number.MAX_SAFE_INTEGER
let db: TestDatabase
/** Of sockets that read in place, as the hub's are. */
let bulk: pg.Pool

beforeAll(async () => {
  db = await createTestDatabase({ migrated: false })
  bulk = new pg.Pool({ ...db.database.connection, max: 1, stream: createBulkSocket })
  const list = table.sqlColumns.map(({ name, sqlType }) => `"${name}" ${sqlType}`)
  await db.database.pool.query(`create extension if not exists vector; create table samples (${list.join(', ')})`)
})
afterAll(async () => {
  await bulk.end()
  await db.close()
})
beforeEach(() => db.database.pool.query('truncate samples'))

async function write(rows: readonly Row[]): Promise<void> {
  const columns = Object.entries(sampleTable.columns)
  const records = rows.map((row) =>
    Object.fromEntries(columns.map(([key, column]) => [key, toRecordValue(column, row[key] ?? null)])),
  )
  const record = recordColumns(
    table,
    columns.map(([property]) => property),
  )
  // The names in the records are the properties.
  const named = columns.reduce((text, [property, { name }]) => text.replace(`"${name}" `, `"${property}" `), record)
  await db.database.pool.query(`insert into samples select * from json_to_recordset($1::json) as r(${named})`, [
    JSON.stringify(records),
  ])
}

async function pack(embeddings: boolean, maxBytes = everything): Promise<{ packed: PackedBlock; packer: RowPacker }> {
  const client = await bulk.connect()
  try {
    const packer = new RowPacker(table, { embeddings }, maxBytes)
    const text = `select ${binarySelectList(table, { embeddings }, 's')} from samples s order by id`
    await queryRaw(client, { text }, packer.add)
    return { packer, packed: packer.end() }
  } finally {
    client.release()
  }
}

async function decode(): Promise<readonly Row[]> {
  const client = await db.database.pool.connect()
  try {
    const decoder = new RowDecoder(table, { embeddings: true })
    const rows: Row[] = []
    const text = `select ${binarySelectList(table, { embeddings: true }, 's')} from samples s order by id`
    await queryRaw(client, { text }, (bytes, offset) => rows.push(decoder.decode(bytes, offset)))
    return rows
  } finally {
    client.release()
  }
}

async function keep(embeddings: boolean): Promise<readonly RowBytes[]> {
  const client = await bulk.connect()
  try {
    const keeper = new RowKeeper(table, { embeddings })
    const text = `select ${binarySelectList(table, { embeddings }, 's')} from samples s order by id`
    await queryRaw(client, { text }, keeper.add)
    return keeper.rows
  } finally {
    client.release()
  }
}

async function readOneByOne(): Promise<Row[]> {
  const { rows } = await db.database.pool.query<(string | null)[]>({
    text: `select ${selectList(table, { embeddings: true })} from samples order by id`,
    ...rawRows,
  })
  return rows.map((row) => toRow(table, row))
}

test('packed rows and decoded ones are the rows that the way of text reads', async () => {
  await fc.assert(
    fc.asyncProperty(sampleRows, async (rows) => {
      await db.database.pool.query('truncate samples')
      await write(rows)
      const { packed, packer } = await pack(true)
      const slow = await readOneByOne()
      expect(packedToRows(sampleTable, packed)).toEqual(slow)
      expect(await decode()).toEqual(slow)
      expect(packer.rows).toBe(rows.length)
      expect(packer.lastId).toBe(slow.at(-1)?.['id'])
    }),
    { numRuns: 60 },
  )
})

test('rows that are kept as they came have the values that the way of text reads, and any of them can be packed', async () => {
  await fc.assert(
    fc.asyncProperty(sampleRows, fc.boolean(), fc.nat({ max: 7 }), async (rows, embeddings, skip) => {
      await db.database.pool.query('truncate samples')
      await write(rows)
      const slow = await readOneByOne()
      const bare = slow.map((row) => ({ ...row, embedding: null }))
      const all = await keep(true)
      expect(all.map((row) => Object.keys(slow[0] ?? {}).map((property) => valueOf(row, property)))).toEqual(
        slow.map((row) => Object.values(row)),
      )
      expect(all.map(toObject)).toEqual(slow)
      expect(all.map(idOf)).toEqual(slow.map(idOf))
      const isPacked = (_: unknown, index: number): boolean => index % 8 !== skip
      const packed = all.some(isPacked) ? RowBytes.pack(all.filter(isPacked), { embeddings }) : undefined
      expect(packed ? packedToRows(sampleTable, packed) : []).toEqual((embeddings ? slow : bare).filter(isPacked))
      const unread = await keep(false)
      expect(unread.map((row) => ({ ...toObject(row), embedding: null }))).toEqual(bare)
      expect(unread[0] && valueOf(unread[0], 'embedding')).toBeUndefined()
      const without = unread.length > 0 ? RowBytes.pack(unread, { embeddings: true }) : undefined
      expect(without ? packedToRows(sampleTable, without) : []).toEqual(bare)
    }),
    { numRuns: 40 },
  )
})

test('columns take the packing that their values allow, however many rows there are', async () => {
  await db.database.pool.query(`
    insert into samples (id, organization_id, project_id, channel, version, title, size, is_open, due_at, metadata, tags, embedding)
    select gen_random_uuid(), gen_random_uuid(), case when i % 3 = 0 then gen_random_uuid() end, 'global', 1,
      case when i % 5 = 0 then null else 'Title ü ' || i || repeat('x', i % 300) end,
      i % 256, i % 2 = 0, to_timestamp(i), jsonb_build_object('i', i), array['a', i::text],
      case when i % 2 = 0 then format('[%s,1,2]', i)::vector end
    from generate_series(1, 3000) i`)
  const { packed } = await pack(true)
  expect(Object.fromEntries(packed.block.columns.map(({ name, kind }) => [name, kind]))).toMatchObject({
    id: 'uuid',
    projectId: 'uuid',
    channel: 'const',
    version: 'const',
    title: 'text',
    size: 'dict',
    isOpen: 'dict',
    dueAt: 'time',
    metadata: 'list',
    tags: 'list',
    bytes: 'const',
    embedding: 'vector',
  })
  expect(packedToRows(sampleTable, packed)).toEqual(await readOneByOne())
})

test('values that begin to differ late, and rows of many kilobytes, are packed too', async () => {
  await db.database.pool.query(`
    insert into samples (id, title, size, metadata)
    select format('01a20131-04be-71c0-b2f5-%s', lpad(to_hex(i), 12, '0'))::uuid,
      case when i > 2500 then repeat('many ' || i, 5000) else 'same' end, case when i > 1500 then i end,
      case when i = 2999 then '{"late": true}'::jsonb end
    from generate_series(1, 3000) i`)
  const { packed } = await pack(false)
  const expected = (await readOneByOne()).map((row) => ({ ...row, embedding: null }))
  expect(packedToRows(sampleTable, packed)).toEqual(expected)
})

test('a packer that is full takes no more rows', async () => {
  await db.database.pool.query(
    `insert into samples (id, title) select gen_random_uuid(), repeat('x', 1000) from generate_series(1, 100)`,
  )
  const { packed, packer } = await pack(false, 10_000)
  expect(packer.isFull).toBe(true)
  expect(packer.rows).toBe(10)
  const first = (await readOneByOne()).slice(0, 10).map(({ id }) => id)
  expect(packedToRows(sampleTable, packed).map(({ id }) => id)).toEqual(first)
})

test.each(['in place', 'by pg'])(
  'what a row cannot do is told once the statement has ended, and a connection that is read %s goes on',
  async (way) => {
    await db.database.pool.query(`insert into samples (id) select gen_random_uuid() from generate_series(1, 1000)`)
    const client = await (way === 'in place' ? bulk : db.database.pool).connect()
    const failing = queryRaw(client, { text: 'select id from samples' }, () => {
      throw new Error('no more')
    })
    await expect(failing).rejects.toThrow('no more')
    await expect(queryRaw(client, { text: 'select nothing' }, () => undefined)).rejects.toThrow('does not exist')
    expect((await client.query('select count(*)::int as count from samples')).rows).toEqual([{ count: 1000 }])
    client.release()
  },
)
