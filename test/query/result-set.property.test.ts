import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ResultSet } from '../../client-sdk/query/result-set.ts'
import type { Row } from '../../protocol/rows/row.ts'

interface Item extends Row {
  readonly id: string
  readonly rank: number
  readonly kept: boolean
}

const item = fc.record({
  id: fc.constantFrom(...'abcdefghijkl'),
  rank: fc.integer({ min: 0, max: 5 }),
  kept: fc.boolean(),
})
const step = fc.record({
  upserts: fc.array(item, { maxLength: 4 }),
  deletes: fc.array(fc.constantFrom(...'abcdefghijkl'), { maxLength: 2 }),
})

const compare = (a: Row, b: Row): number =>
  Number(a['rank']) - Number(b['rank']) || (String(a['id']) < String(b['id']) ? -1 : 1)
const matches = (row: Row): boolean => row['kept'] === true

/** Slow and obvious: all rows, filtered, sorted, cut. */
function oracle(table: ReadonlyMap<string, Item>, limit: number | undefined, offset: number): readonly Row[] {
  const sorted = [...table.values()].filter(matches).toSorted(compare)
  return limit === undefined ? sorted.slice(offset) : sorted.slice(offset, offset + limit)
}

test('a result set follows any changes as if it were read anew each time', () => {
  fc.assert(
    fc.property(
      fc.array(item),
      fc.array(step),
      fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
      fc.integer({ min: 0, max: 2 }),
      (start, steps, limit, offset) => {
        const table = new Map(start.map((row) => [row.id, row]))
        const results = new ResultSet({ matches, compare, offset, ...(limit === undefined ? {} : { limit }) })
        results.reset(oracle(table, limit, offset))
        for (const { upserts, deletes } of steps) {
          const unique = new Map(upserts.map((row) => [row.id, row]))
          const gone = deletes.filter((id) => !unique.has(id))
          for (const id of gone) table.delete(id)
          for (const row of unique.values()) table.set(row.id, row)
          const before = results.rows
          const outcome = results.apply({ all: false, upserts: [...unique.values()], deletes: gone })
          if (outcome === 'requery') results.reset(oracle(table, limit, offset))
          if (outcome === 'unchanged') expect(results.rows).toBe(before)
          expect(results.rows).toEqual(oracle(table, limit, offset))
        }
      },
    ),
  )
})

test('a change of rows outside the result is not worth a read', () => {
  const results = new ResultSet({ matches, compare, limit: 2 })
  results.reset([
    { id: 'a', rank: 1, kept: true },
    { id: 'b', rank: 2, kept: true },
  ])
  expect(
    results.apply({
      all: false,
      upserts: [
        { id: 'c', rank: 3, kept: true },
        { id: 'd', rank: 0, kept: false },
      ],
      deletes: ['e'],
    }),
  ).toBe('unchanged')
})

test('a full window that loses a row asks for a read', () => {
  const results = new ResultSet({ matches, compare, limit: 1 })
  results.reset([{ id: 'a', rank: 1, kept: true }])
  expect(results.apply({ all: false, upserts: [], deletes: ['a'] })).toBe('requery')
})
