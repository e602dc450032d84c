import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canonicalValue } from '../../protocol/rows/value.ts'
import type { ColumnDescriptor, ColumnType } from '../../protocol/rows/table.ts'
import type { CatalogTable } from '../../server/catalog/catalog.ts'
import { rawRows, recordColumns, selectList, toParam, toRecordValue, toRow } from '../../server/db/row-codec.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

/** SQL type, and values as somebody may write them. */
const samples: Readonly<Record<string, readonly [ColumnType, string, readonly unknown[], Partial<ColumnDescriptor>?]>> =
  {
    id: ['uuid', 'uuid', ['01a2010e-0c45-77c9-82b7-38d9bd3b37cc']],
    text: ['text', 'text', ['', 'a "b" \\ \n ü 😀', 'null', '{}', '\\x41']],
    integer: ['integer', 'integer', [0, -2_147_483_647]],
    bigint: ['bigint', 'bigint', [Number.MAX_SAFE_INTEGER, -5]],
    double: ['double', 'double precision', [0.1, 1e-300, -1.5e300, 3]],
    money: ['numeric', 'numeric(14,4)', [12.5, 0, '-0.0001', 9_999_999_999.9999], { precision: 14, scale: 4 }],
    exact: ['numeric', 'numeric(18,8)', ['1', '1234567890.12345678', -0.1], { precision: 18, scale: 8 }],
    flag: ['boolean', 'boolean', [true, false]],
    time: [
      'timestamptz',
      'timestamptz(3)',
      [
        '2026-11-22T01:42:36.123Z',
        '2026-11-22T01:42:36.120Z',
        '2026-11-22T03:42:36+02:00',
        '1969-12-31T23:59:59.999Z',
        '0999-01-01T00:00:00.000Z',
      ],
    ],
    date: ['date', 'date', ['2026-11-22', '2024-02-29']],
    address: ['inet', 'inet', ['10.0.0.1', '2001:db8::1', '10.0.0.0/8']],
    json: ['jsonb', 'jsonb', [{}, [], { a: [1, 'x', null, { b: true }], ключ: 'v' }, 'text', 5, false]],
    texts: ['text[]', 'text[]', [[], ['a', 'b,c', '"', '{}', 'NULL', ''], ['ü']]],
    bytes: ['bytea', 'bytea', [Uint8Array.of(), Uint8Array.of(0, 255, 92, 10)]],
    vector: ['vector', 'vector(3)', [[0, -1.5, 3.25], Float32Array.of(0.1, 1e-30, 7)], { dimension: 3 }],
  }

const columns: Record<string, ColumnDescriptor> = Object.fromEntries(
  Object.entries(samples).map(([name, [type, , , more]]) => [name, { name, type, nullable: true as const, ...more }]),
)
// Only what the codec reads of a table.
const table = {
  name: 'samples',
  descriptor: { columns },
  sqlColumns: Object.entries(samples).map(([name, [, sqlType]]) => ({ name, property: name, sqlType })),
} as unknown as CatalogTable

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({ migrated: false })
  const { pool } = db.database
  await pool.query('create extension if not exists vector')
  const list = Object.entries(samples).map(([name, [, sqlType]]) => `"${name}" ${sqlType}`)
  await pool.query(`create table samples (${list.join(', ')})`)
})
afterAll(() => db.close())

async function readAll(embeddings: boolean) {
  const { rows } = await db.database.pool.query<(string | null)[]>({
    text: `select ${selectList(table, { embeddings }, 's')} from samples s`,
    ...rawRows,
  })
  return rows.map((row) => toRow(table, row))
}

const cases = Object.entries(samples).flatMap(([name, [, , values]]) =>
  [...values, null].map((value) => [name, value] as const),
)

describe.each(['a parameter', 'a record'])('a value written as %s', (way) => {
  test.each(cases)('comes back in its canonical form: %s %j', async (name, value) => {
    const { pool } = db.database
    const column = columns[name] as ColumnDescriptor
    const canonical = canonicalValue(column, value)
    await pool.query('delete from samples')
    if (way === 'a parameter')
      await pool.query(`insert into samples ("${name}") values ($1)`, [toParam(column, canonical)])
    else
      await pool.query(
        `insert into samples select r.* from json_to_recordset($1::json) as r(${recordColumns(table, Object.keys(columns))})`,
        [JSON.stringify([{ [name]: toRecordValue(column, canonical) }])],
      )
    const nulls = Object.fromEntries(Object.keys(columns).map((other) => [other, null]))
    expect(await readAll(true)).toEqual([{ ...nulls, [name]: canonical }])
  })
})

test('does not depend on the time zone of the session', async () => {
  const { pool } = db.database
  await pool.query('delete from samples')
  await pool.query(`insert into samples (time) values ('2026-11-22T01:42:36.120Z')`)
  const client = await pool.connect()
  await client.query(`set timezone to 'Asia/Kolkata'`)
  const { rows } = await client.query<(string | null)[]>({
    text: `select ${selectList(table, { embeddings: false })} from samples`,
    ...rawRows,
  })
  client.release(true)
  expect(rows.map((row) => toRow(table, row)['time'])).toEqual(['2026-11-22T01:42:36.120Z'])
})

test('leaves vectors out unless they are asked for', async () => {
  await db.database.pool.query('delete from samples')
  await db.database.pool.query(`insert into samples (vector) values ('[1,2,3]')`)
  expect((await readAll(false))[0]).not.toHaveProperty('vector')
  expect((await readAll(true))[0]?.['vector']).toEqual(Float32Array.of(1, 2, 3))
})
