import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isoToMs, msToIso } from '../../protocol/rows/iso-time.ts'

const firstMs = Date.parse('0000-01-01T00:00:00.000Z')
const lastMs = Date.parse('9999-12-31T23:59:59.999Z')
const plainMs = fc.oneof(fc.integer({ min: firstMs, max: lastMs }), fc.constantFrom(firstMs, lastMs, 0, -1))

describe('canonical times', () => {
  test('are written as toISOString writes them', () => {
    const anyMs = fc.oneof(plainMs, fc.double({ min: -8.64e15, max: 8.64e15, noNaN: true }))
    fc.assert(
      fc.property(anyMs, (ms) => {
        expect(msToIso(ms)).toBe(new Date(ms).toISOString())
      }),
      { numRuns: 5000 },
    )
  })

  test('are read as Date.parse reads them', () => {
    fc.assert(
      fc.property(plainMs, (ms) => {
        expect(isoToMs(new Date(ms).toISOString())).toBe(ms)
      }),
      { numRuns: 5000 },
    )
  })

  test('are right on every day of four centuries', () => {
    const dayMs = 86_400_000
    for (let ms = Date.UTC(1899, 11, 30, 23, 59); ms < Date.UTC(2301, 0); ms += dayMs) {
      const text = new Date(ms).toISOString()
      if (msToIso(ms) !== text || isoToMs(text) !== ms) expect.fail(text)
    }
    expect(msToIso(Date.UTC(2000, 1, 29))).toBe('2000-02-29T00:00:00.000Z')
  })

  test('are read only when writing them gives the same text', () => {
    const digits = fc.stringMatching(/^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-6]\d:[0-6]\d\.\d{3}Z$/)
    const others = fc.constantFrom(
      '2026-01-01T00:00:00Z',
      '2026-01-01',
      '',
      '2026-01-01 00:00:00.000Z',
      '2026-01-01T24:00:00.000Z',
    )
    fc.assert(
      fc.property(fc.oneof(digits, others), (text) => {
        const ms = isoToMs(text)
        expect(ms === undefined || msToIso(ms) === text).toBe(true)
        if (ms === undefined) expect(isCanonical(text)).toBe(false)
      }),
      { numRuns: 5000 },
    )
  })
})

function isCanonical(text: string): boolean {
  const ms = Date.parse(text)
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text
}
