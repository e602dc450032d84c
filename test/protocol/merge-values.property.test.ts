import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mergeSets, mergeText3, mergeTopLevel } from '../../protocol/rows/merge-values.ts'

const elements = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', '😀', 'ｚ'))
const text = fc.array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 8 }).map((lines) => lines.join('\n'))
const object = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom(1, 2, 3))

describe('merged sets', () => {
  test('hold what was added by either side and not removed by either', () => {
    fc.assert(
      fc.property(elements, elements, elements, (base, mine, theirs) => {
        const all = new Set([...base, ...mine, ...theirs])
        const expected = [...all].filter((one) =>
          base.includes(one) ? mine.includes(one) && theirs.includes(one) : true,
        )
        expect(new Set(mergeSets(base, mine, theirs))).toEqual(new Set(expected))
      }),
    )
  })

  test('are the same whichever side comes first', () => {
    fc.assert(
      fc.property(elements, elements, elements, (base, mine, theirs) => {
        expect(mergeSets(base, mine, theirs)).toEqual(mergeSets(base, theirs, mine))
      }),
    )
  })

  test('are the one change when there is only one, up to order', () => {
    fc.assert(
      fc.property(elements, elements, (base, mine) => {
        expect(new Set(mergeSets(base, mine, base))).toEqual(new Set(mine))
      }),
    )
  })
})

describe('merged texts', () => {
  test('are the same whichever side comes first', () => {
    fc.assert(
      fc.property(text, text, text, (base, mine, theirs) => {
        expect(mergeText3(base, mine, theirs)).toEqual(mergeText3(base, theirs, mine))
      }),
      { numRuns: 500 },
    )
  })

  test('are the one change when there is only one, or both are equal', () => {
    fc.assert(
      fc.property(text, text, (base, mine) => {
        expect([mergeText3(base, mine, base), mergeText3(base, base, mine), mergeText3(base, mine, mine)]).toEqual([
          { text: mine },
          { text: mine },
          { text: mine },
        ])
      }),
    )
  })

  test('have both changes when they are far apart', () => {
    fc.assert(
      fc.property(text, text, text, text, (top, bottom, newTop, newBottom) => {
        const middle = 'x\ny\nz\nx y\ny z'
        const merged = mergeText3(
          `${top}\n${middle}\n${bottom}`,
          `${newTop}\n${middle}\n${bottom}`,
          `${top}\n${middle}\n${newBottom}`,
        )
        expect(merged).toEqual({ text: `${newTop}\n${middle}\n${newBottom}` })
      }),
    )
  })
})

describe('merged objects', () => {
  test('agree with each key decided alone', () => {
    fc.assert(
      fc.property(object, object, object, (base, mine, theirs) => {
        const { value, conflicts } = mergeTopLevel(base, mine, theirs)
        for (const key of ['a', 'b', 'c']) {
          const clash = base[key] !== mine[key] && base[key] !== theirs[key] && mine[key] !== theirs[key]
          expect(conflicts.includes(key)).toBe(clash)
          expect(value[key]).toBe(base[key] === theirs[key] ? mine[key] : theirs[key])
        }
      }),
    )
  })
})
