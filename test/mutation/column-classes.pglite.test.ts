// The column classes of every table of docs/schema.md, and how lists and objects merge, as real pushes of somebody who
// may write.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { toProperty } from '../../protocol/rows/table.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import type { SqlValues } from '../support/sample-rows.ts'
import { allColumns } from '../support/schema-ddl.ts'
import { readSchemaPage, type DocColumn, type DocTable } from '../support/schema-notation.ts'
import { isWritable, mayWrite } from './rules-oracle.ts'
import { parts, RulesWorld, serverColumns, type Part, type Place } from './rules-world.ts'
import { newId } from './world.ts'

const { tables } = readSchemaPage()
let db: TestDatabase
let world: RulesWorld

beforeAll(async () => {
  db = await createTestDatabase()
  world = await RulesWorld.create(db.database.pool, tables)
})
afterAll(() => db.close())

interface Subject {
  readonly table: DocTable
  readonly place: Place
  readonly part: Part
  readonly row: SqlValues
  readonly id: string
}

/** A row and somebody who may write it. */
async function subject(table: DocTable): Promise<Subject> {
  for (const place of world.placesOf(table)) {
    const row = await world.row(table, place)
    const part = parts.find((one) => mayWrite(world, table, place, one, row))
    if (part) return { table, place, part, row, id: String(row['id']) }
  }
  throw new Error(`Nobody may write to ${table.name}.`)
}

type Sent = Pick<Mutation, 'op' | 'set' | 'base' | 'inc'>

function push({ table, part, id }: Subject, ...writes: readonly Sent[]): Promise<readonly Outcome[]> {
  return world.device(part).send(...writes.map((write) => ({ ...write, table: table.name, rowId: id })))
}

async function stored({ table, id }: Pick<Subject, 'table' | 'id'>): Promise<Readonly<Record<string, unknown>>> {
  const [row] = await world.query<Record<string, unknown>>(`select * from "${table.name}" where id = $1`, [id])
  return row ?? {}
}

/** Puts a value into one column of the row, as SQL would. */
async function prepare({ table, id }: Subject, column: DocColumn, value: unknown): Promise<void> {
  await world.query(`update "${table.name}" set "${column.name}" = $1 where id = $2`, [value, id])
}

function patch({ name }: DocColumn, value: Json, base: Json): Sent {
  const property = toProperty(name)
  return { op: 'patch', set: { [property]: value }, base: { [property]: base } }
}

/** A value of the column's type that no sample has. */
function anotherValue({ type, values }: DocColumn): Json {
  if (values) return values.at(-1) ?? ''
  if (type === 'text') return 'another text'
  if (type === 'uuid') return newId()
  if (type === 'boolean') return true
  if (type === 'jsonb') return { another: 1 }
  if (type === 'timestamptz') return '2031-01-01T00:00:00.000Z'
  if (type === 'inet') return '10.0.0.1'
  if (type === 'text[]') return ['another']
  return 7
}

function columnsOf(table: DocTable, kind: string): readonly DocColumn[] {
  return (table.fields[kind] ?? []).flatMap((name) => allColumns(table).find((column) => column.name === name) ?? [])
}

/** Of the class, and of none that comes before it. */
function columnsOnly(table: DocTable, kind: string, ...others: readonly string[]): readonly DocColumn[] {
  const taken = new Set(others.flatMap((other) => table.fields[other] ?? []))
  return columnsOf(table, kind).filter(({ name, references }) => !taken.has(name) && !references)
}

function merging(table: DocTable, type: string): DocColumn | undefined {
  const special = new Set(Object.values(table.fields).flat())
  return table.columns.find(
    (column) =>
      table.policy === 'merge' &&
      column.type === type &&
      column.default === '{}' &&
      !special.has(column.name) &&
      // Steps of the pipeline, and documents with a schema.
      !['depends_on', 'dna'].includes(column.name),
  )
}

const writable = tables.filter((table) => isWritable(table) && table.scope !== 'conflict')
const two = writable.filter(({ direction }) => direction === 'rw')

function withColumns(of: (table: DocTable) => readonly DocColumn[]) {
  return two.flatMap((table) => {
    const columns = of(table)
    return columns.length === 0
      ? []
      : [{ name: table.name, table, columns, shown: columns.map(({ name }) => name).join() }]
  })
}

describe('class server', () => {
  test.each(two)('$name ignores and reports what only the server sets', async (table) => {
    const one = await subject(table)
    const hidden = table.fields['hidden'] ?? []
    const names = serverColumns(table).filter((name) => !hidden.includes(name))
    const set = Object.fromEntries(names.map((name) => [toProperty(name), newId()]))
    const before = await stored(one)
    const [outcome] = await push(one, { op: 'patch', set, base: {} })
    expect(outcome?.kind).toBe('noop')
    expect(outcome?.columns?.toSorted()).toEqual(Object.keys(set).toSorted())
    expect(await stored(one)).toEqual(before)
  })

  test.each(writable.filter(({ direction }) => direction === 'up'))(
    '$name ignores and reports it in what is uploaded',
    async (table) => {
      const { part, place } = await subject(table)
      const values = await world.values(table, place)
      const id = world.rowId(table, values, part)
      const sent = Object.fromEntries((table.fields['server'] ?? []).map((name) => [toProperty(name), newId()]))
      const set = { ...world.wire(table, values), ...sent, originDeviceId: newId() }
      const [outcome] = await world.device(part).send({ table: table.name, op: 'insert', rowId: id, set })
      expect(outcome).toMatchObject({
        kind: 'applied',
        columns: expect.arrayContaining([...Object.keys(sent), 'originDeviceId']),
      })
      expect(await stored({ table, id })).toMatchObject({ origin_device_id: world.device(part).principal.deviceId })
    },
  )
})

describe('class fixed', () => {
  test.each(withColumns((table) => columnsOf(table, 'fixed')))('$name keeps $shown', async ({ table, columns }) => {
    const one = await subject(table)
    const before = await stored(one)
    const changing = columns.filter((column) => anotherValue(column) !== before[column.name])
    const outcomes = await push(one, ...changing.map((column) => patch(column, anotherValue(column), null)))
    expect(outcomes.map(({ error }) => error?.code)).toEqual(changing.map(() => 'unknown_column'))
    expect(await stored(one)).toEqual(before)
  })
})

describe('class hidden', () => {
  test.each(withColumns((table) => columnsOf(table, 'hidden')))('$name has no $shown', async ({ table, columns }) => {
    const one = await subject(table)
    const outcomes = await push(one, ...columns.map((column) => patch(column, 'x', null)))
    expect(outcomes.map(({ error }) => error?.code)).toEqual(columns.map(() => 'unknown_column'))
  })
})

describe('class silent', () => {
  const cases = withColumns((table) => columnsOnly(table, 'silent', 'server', 'counter', 'fixed'))
  test.each(cases)('$name takes $shown without a version or an entry of the log', async ({ table, columns }) => {
    const one = await subject(table)
    const entries = () => world.query(`select seq from sync_changes where row_id = $1 and op = 'upsert'`, [one.id])
    const [before, logged] = [await stored(one), await entries()]
    const set = Object.fromEntries(columns.map((column) => [toProperty(column.name), anotherValue(column)]))
    expect(await push(one, { op: 'patch', set, base: {} })).toMatchObject([{ kind: 'applied' }])
    const after = await stored(one)
    expect(columns.filter(({ name }) => JSON.stringify(after[name]) === JSON.stringify(before[name]))).toEqual([])
    expect(after['version']).toBe(before['version'])
    expect(await entries()).toEqual(logged)
  })
})

describe('class counter', () => {
  test.each(withColumns((table) => columnsOf(table, 'counter')))(
    '$name adds up $shown, and sets none',
    async ({ table, columns }) => {
      const one = await subject(table)
      const before = await stored(one)
      const inc = (amount: number): Sent => ({
        op: 'increment',
        inc: Object.fromEntries(columns.map(({ name }) => [toProperty(name), amount])),
      })
      expect((await push(one, inc(2), inc(3))).map(({ kind }) => kind)).toEqual(['applied', 'applied'])
      const outcomes = await push(one, ...columns.map((column) => patch(column, 7, Number(before[column.name]))))
      expect(outcomes.map(({ error }) => error?.code)).toEqual(columns.map(() => 'invalid_value'))
      const after = await stored(one)
      expect(columns.map(({ name }) => after[name])).toEqual(columns.map(({ name }) => Number(before[name]) + 5))
    },
  )
})

describe('class lww', () => {
  test.each(withColumns((table) => columnsOnly(table, 'lww')))(
    '$name takes the last of $shown',
    async ({ table, columns }) => {
      const one = await subject(table)
      for (const column of columns) {
        const value = anotherValue(column)
        expect(await push(one, patch(column, value, value))).toMatchObject([{ kind: 'applied' }])
        expect(await stored(one)).toMatchObject({ [column.name]: value })
      }
    },
  )
})

describe('class text3', () => {
  test.each(withColumns((table) => columnsOf(table, 'text3')))(
    '$name merges the lines of $shown',
    async ({ table, columns }) => {
      const one = await subject(table)
      for (const column of columns) {
        const base = 'one\ntwo\nthree'
        await prepare(one, column, base)
        const lines = (text: string): Sent => patch(column, text, base)
        const outcomes = await push(one, lines('ONE\ntwo\nthree'), lines('one\ntwo\nTHREE'), lines('uno\ntwo\nthree'))
        expect(outcomes.map(({ kind }) => kind)).toEqual(['applied', 'merged', 'conflict'])
        expect(await stored(one)).toMatchObject({ [column.name]: 'ONE\ntwo\nTHREE' })
      }
    },
  )
})

describe('policy merge', () => {
  const lists = two.flatMap((table) => {
    const column = merging(table, 'text[]')
    return column ? [{ name: table.name, shown: column.name, table, column }] : []
  })
  test.each(lists)('$name merges $shown as a set', async ({ table, column }) => {
    const one = await subject(table)
    await prepare(one, column, ['a'])
    const outcomes = await push(one, ...[['a', 'b'], ['a', 'c'], []].map((list) => patch(column, list, ['a'])))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['applied', 'merged', 'merged'])
    expect(new Set((await stored(one))[column.name] as readonly string[])).toEqual(new Set(['b', 'c']))
  })

  const objects = two.flatMap((table) => {
    const column = merging(table, 'jsonb')
    return column ? [{ name: table.name, shown: column.name, table, column }] : []
  })
  test.each(objects)('$name merges the keys of $shown', async ({ table, column }) => {
    const one = await subject(table)
    await prepare(one, column, '{"a":1}')
    const changes = [{ a: 1, b: 2 }, { a: 1, c: 3 }, { a: 8 }, { a: 9 }]
    const outcomes = await push(one, ...changes.map((value) => patch(column, value, { a: 1 })))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['applied', 'merged', 'merged', 'conflict'])
    expect(await stored(one)).toMatchObject({ [column.name]: { a: 8, b: 2, c: 3 } })
  })
})
