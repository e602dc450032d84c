import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareRanges, RangeSums, rangeOf, rowHash } from '../../protocol/rows/verify.ts'

const held = fc.tuple(fc.uuid(), fc.integer({ min: 1, max: 1_000_000 }))

function sumsOf(rows: readonly (readonly [string, number])[]): RangeSums {
  const sums = new RangeSums()
  for (const [id, version] of rows) sums.add(id, version)
  return sums
}

describe('range sums', () => {
  test('equal the sum in big integers', () => {
    fc.assert(
      fc.property(fc.array(held, { maxLength: 200 }), (rows) => {
        const expected = Array.from({ length: 16 }, (_, range) => {
          const inRange = rows.filter(([id]) => rangeOf(id) === range)
          const total = inRange.reduce((sum, [id, version]) => sum + BigInt(rowHash(id, version)), 0n)
          return { count: inRange.length, hash: Number(total % 2n ** 53n) }
        })
        expect(sumsOf(rows).toRanges()).toEqual(expected)
      }),
    )
  })

  test('do not depend on order, and come back when a row is taken out', () => {
    fc.assert(
      fc.property(fc.array(held), held, (rows, [id, version]) => {
        const sums = sumsOf(rows.toReversed())
        sums.add(id, version)
        sums.remove(id, version)
        expect(compareRanges(sums.toRanges(), sumsOf(rows).toRanges())).toEqual([])
      }),
    )
  })

  test('differ in just the range of a row with another version', () => {
    fc.assert(
      fc.property(fc.array(held), held, (rows, [id, version]) => {
        const mine = sumsOf([...rows, [id, version]]).toRanges()
        const theirs = sumsOf([...rows, [id, version + 1]]).toRanges()
        expect(compareRanges(mine, theirs)).toEqual([rangeOf(id)])
      }),
    )
  })
})

describe('a row hash', () => {
  test('is the same on every machine and version', () => {
    expect(rowHash('0190b3f0-0000-7000-8000-000000000001', 1)).toMatchInlineSnapshot(`4081570829876097`)
  })

  test('is a whole number below 2^53', () => {
    fc.assert(
      fc.property(held, ([id, version]) => {
        const hash = rowHash(id, version)
        expect(Number.isSafeInteger(hash) && hash >= 0).toBe(true)
      }),
    )
  })
})
