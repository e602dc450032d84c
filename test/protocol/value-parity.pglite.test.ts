import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { canonicalValue, valuesEqual } from '../../protocol/rows/value.ts'
import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await createTestDatabase()
})
afterAll(() => db.close())

const numRuns = Number(process.env['PROPERTY_RUNS'] ?? 100)

test.each([
  [5, 2],
  [4, 3],
  [8, 0],
  [18, 8],
])('numeric(%i,%i) is rounded as Postgres rounds', async (precision, scale) => {
  const column: ColumnDescriptor = { name: 'it', type: 'numeric', precision, scale }
  const limit = 10 ** Math.min(precision - scale, 12) - 1
  const number = fc.oneof(
    fc.double({ min: -limit, max: limit, noNaN: true }),
    fc.integer({ min: -limit * 10, max: limit * 10 }).map((n) => n / 10 ** (scale + 1)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(number, { minLength: 1, maxLength: 50 }), async (numbers) => {
      const texts = numbers.map(String)
      const { rows } = await db.database.pool.query(
        `select n::numeric(${precision},${scale})::text as stored from unnest($1::text[]) with ordinality as t(n, place) order by place`,
        [texts],
      )
      expect(numbers.map((value) => String(canonicalValue(column, value)))).toEqual(
        rows.map(({ stored }) => String(precision <= 15 ? Number(stored) : stored)),
      )
    }),
    { numRuns },
  )
})

test('any JSON that is canonical comes back equal from jsonb', async () => {
  const column: ColumnDescriptor = { name: 'it', type: 'jsonb', nullable: true }
  await fc.assert(
    fc.asyncProperty(fc.jsonValue({ maxDepth: 4 }), async (json) => {
      let canonical
      try {
        canonical = canonicalValue(column, json)
      } catch {
        return // U+0000 and halves of characters are refused, which the unit test covers.
      }
      const { rows } = await db.database.pool.query('select $1::jsonb as stored', [JSON.stringify(canonical)])
      expect(valuesEqual(column, rows[0].stored, canonical)).toBe(true)
    }),
    { numRuns },
  )
})

test('every time in milliseconds comes back as it was', async () => {
  const column: ColumnDescriptor = { name: 'it', type: 'timestamptz' }
  const date = fc.date({
    min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59.999Z'),
    noInvalidDate: true,
  })
  await fc.assert(
    fc.asyncProperty(fc.array(date, { minLength: 1, maxLength: 50 }), async (dates) => {
      const canonical = dates.map((value) => canonicalValue(column, value))
      const { rows } = await db.database.pool.query(
        `select to_char(t::timestamptz(3) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as stored from unnest($1::text[]) with ordinality as u(t, place) order by place`,
        [canonical],
      )
      expect(rows.map(({ stored }) => stored)).toEqual(canonical)
    }),
    { numRuns },
  )
})
