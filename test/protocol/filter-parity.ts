// Filters and orders mean the same in SQL and in JavaScript: random ones over random rows, on any Postgres.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { filterToSql, orderToSql } from '../../protocol/rows/filter-sql.ts'
import { compileFilter, compileOrder } from '../../protocol/rows/matcher.ts'
import type { Row, Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import type { Filter, OrderBy } from '../../protocol/rows/filter.ts'
import { sampleFilter, sampleOrder } from './sample-filter.ts'
import { sampleRow, sampleTable } from './sample-table.ts'

export interface ParityDatabase {
  query(sql: string, params: unknown[]): Promise<readonly { readonly id?: unknown }[]>
  close(): Promise<void>
}

const columns = Object.entries(sampleTable.columns)
const rowCount = 300

/** Declares the tests; `open` gives a fresh database that can `create extension vector`. */
export function describeParity(open: () => Promise<ParityDatabase>): void {
  let db: ParityDatabase
  let rows: readonly Row[]

  beforeAll(async () => {
    db = await open()
    await db.query('create extension vector', [])
    const declared = columns.map(([, column]) => `"${column.name}" ${sqlType(column)}`)
    await db.query(`create table samples (${declared.join(', ')})`, [])
    rows = fc.sample(sampleRow, { numRuns: rowCount, seed: 42 })
    for (const row of rows) {
      const places = columns.map(([, column], index) =>
        column.type === 'bytea' ? `decode($${index + 1}, 'base64')` : `$${index + 1}`,
      )
      await db.query(
        `insert into samples values (${places.join(', ')})`,
        columns.map(([property, column]) => toParameter(column, row[property] ?? null)),
      )
    }
  })

  afterAll(() => db.close())

  async function idsInSql(filter: Filter, orderBy: readonly OrderBy[]): Promise<unknown[]> {
    const params: unknown[] = ['unused']
    const where = filterToSql(sampleTable, filter, params, { alias: 's' })
    const order = orderToSql(sampleTable, orderBy, { alias: 's' })
    const found = await db.query(
      `select id from samples s where $1::text is not null and ${where} order by ${order}`,
      params,
    )
    return found.map(({ id }) => id)
  }

  function idsInJavaScript(filter: Filter, orderBy: readonly OrderBy[]): unknown[] {
    return rows
      .filter(compileFilter(sampleTable, filter))
      .toSorted(compileOrder(sampleTable, orderBy))
      .map((row) => row['id'])
  }

  describe('a filter selects the same rows in Postgres and in JavaScript', () => {
    test('for random filters and orders', async () => {
      let some = 0
      await fc.assert(
        fc.asyncProperty(sampleFilter, sampleOrder, async (filter, orderBy) => {
          const expected = await idsInSql(filter, orderBy)
          if (expected.length > 0 && expected.length < rowCount) some++
          expect(idsInJavaScript(filter, orderBy)).toEqual(expected)
        }),
        { numRuns: Number(process.env['PARITY_RUNS'] ?? 1000) },
      )
      expect(some).toBeGreaterThan(100)
    })

    test.each<Filter>([
      { title: { ne: 'a' } },
      { not: { title: 'a' } },
      { or: [{ title: null }, { title: { ne: 'a' } }] },
      { not: { or: [{ title: 'a' }, { size: { gt: 0 } }] } },
      { title: { in: [] } },
      { not: { title: { notIn: [] } } },
      { title: { like: 'a%' } },
      { title: { ilike: 'ä%' } },
      { title: { ilike: 'k' } },
      { title: { like: '_' } },
      { title: { gt: 'ﬁ' } },
      { metadata: { contains: { b: { c: 1 } } } },
      { not: { metadata: { contains: { a: 1 } } } },
      { tags: { contains: '{a,"b"}' } },
      { exact: { gt: '123456789012345678901234.5' } },
      { price: { in: [1, '2.50'] } },
      { dueAt: { lte: '2026-07-01T01:40:00.123Z' } },
      { and: [] },
      { or: [] },
      {},
    ])('for %j', async (filter) => {
      expect(idsInJavaScript(filter, [])).toEqual(await idsInSql(filter, []))
    })
  })
}

function sqlType({ type, precision, scale, dimension }: ColumnDescriptor): string {
  if (type === 'numeric') return `numeric(${precision}, ${scale})`
  if (type === 'vector') return `vector(${dimension})`
  if (type === 'timestamptz') return 'timestamptz(3)'
  return type === 'double' ? 'double precision' : type
}

function toParameter({ type }: ColumnDescriptor, value: Value): unknown {
  if (value instanceof Float32Array) return `[${value.join(',')}]`
  return type === 'jsonb' && value !== null ? JSON.stringify(value) : value
}
