import { PGlite } from '@electric-sql/pglite'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { channelOf } from '../../protocol/rows/channel.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { scopeKinds, type TableDescriptor } from '../../protocol/rows/table.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { channelExpression } from '../../server/catalog/trigger-sql.ts'

const ids = ['0190b3f0-0000-7000-8000-000000000001', '0190b3f0-0000-7000-8000-000000000002'] as const

/** The columns that any scope rule of a table reads. */
function rowsOf(table: TableDescriptor): fc.Arbitrary<Row> {
  const columns = Object.entries(table.columns).flatMap(([property, column]): [string, fc.Arbitrary<Row[string]>][] => {
    if (property === 'scope') return [[property, fc.constantFrom(...scopeKinds)]]
    if (property === 'visibility') return [[property, fc.constantFrom(...(column.values ?? ['private']))]]
    if (column.type !== 'uuid') return []
    const id = fc.constantFrom(...ids)
    return [[property, column.nullable ? fc.option(id, { nil: null }) : id]]
  })
  return fc.record(Object.fromEntries(columns))
}

function homeOf(table: TableDescriptor, row: Row): string | null {
  try {
    return channelOf(table, row)
  } catch {
    return null
  }
}

describe('a row has the same home in the trigger and in JavaScript', () => {
  let db: PGlite
  beforeAll(async () => {
    db = await PGlite.create()
  })
  afterAll(() => db.close())

  const tables = [...loadCatalog().synced.values()].flatMap((table) => {
    const expression = channelExpression(table.descriptor.scope, table)
    return expression === undefined ? [] : [{ name: table.name, descriptor: table.descriptor, expression }]
  })

  test('there are tables to compare', () => {
    expect(tables.length).toBeGreaterThan(20)
  })

  test.each(tables)('$name', async ({ descriptor, expression }) => {
    const rows = fc.sample(rowsOf(descriptor), { numRuns: 40, seed: 7 })
    const columns = Object.entries(descriptor.columns).filter(([property]) => property in (rows[0] ?? {}))
    const declared = columns.map(([, column]) => `${column.name} ${column.type}`)
    const list = JSON.stringify(
      rows.map((row) => Object.fromEntries(columns.map(([property, column]) => [column.name, row[property] ?? null]))),
    )
    const { rows: found } = await db.query<{ channel: string | null }>(
      `select ${expression} as channel from rows from (json_to_recordset($1::json) as (${declared.join(', ')})) with ordinality as new order by ordinality`,
      [list],
    )
    expect(rows.map((row) => homeOf(descriptor, row))).toEqual(found.map(({ channel }) => channel))
  })
})
