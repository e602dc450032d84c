import { describe, expect, test } from 'vitest'
import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import { canonicalValue, columnSchema, valuesEqual } from '../../protocol/rows/value.ts'
import { vectorToBase64 } from '../../protocol/rows/base64.ts'

const column = (type: ColumnDescriptor['type'], more: Partial<ColumnDescriptor> = {}): ColumnDescriptor => ({
  name: 'it',
  type,
  ...more,
})
const id = '01890000-0000-7000-8000-00000000000A'

describe('a canonical value', () => {
  test.each([
    ['uuid', column('uuid'), id, id.toLowerCase()],
    ['text', column('text'), 'Grüße 😀', 'Grüße 😀'],
    ['integer', column('integer'), -0, 0],
    ['bigint', column('bigint'), 9007199254740991n, 9007199254740991],
    ['double', column('double'), 1e300, 1e300],
    ['boolean', column('boolean'), false, false],
    ['time of a Date', column('timestamptz'), new Date(0), '1970-01-01T00:00:00.000Z'],
    ['time with another zone', column('timestamptz'), '2026-11-22 03:42:36.1234+02:00', '2026-11-22T01:42:36.123Z'],
    ['date', column('date'), '2024-02-29', '2024-02-29'],
    ['inet', column('inet'), '2001:DB8::1/64', '2001:db8::1/64'],
    ['json', column('jsonb'), { a: [1, null, { b: -0 }], c: undefined }, { a: [1, null, { b: 0 }] }],
    ['json null inside a value', column('jsonb'), [null], [null]],
    ['set', column('text[]'), ['a', 'b', 'a'], ['a', 'b']],
    ['bytes', column('bytea'), Uint8Array.of(255, 0), '/wA='],
    ['null', column('text', { nullable: true }), null, null],
    ['undefined', column('text', { nullable: true }), undefined, null],
    ['enum', column('text', { values: ['on', 'off'] }), 'on', 'on'],
  ] as const)('of %s', (_, descriptor, value, expected) => {
    expect(canonicalValue(descriptor, value)).toEqual(expected)
  })

  test.each([
    [0.1 + 0.2, '5,2', 0.3],
    [1.005, '5,2', 1.01],
    [-1.005, '5,2', -1.01],
    ['12.30', '5,2', 12.3],
    [1e-7, '5,2', 0],
    [-0.001, '5,2', 0],
    [999.99, '5,2', 999.99],
    ['1e2', '5,2', 100],
    [0.5, '18,8', '0.50000000'],
    ['123456789.123456785', '18,8', '123456789.12345679'],
    [-3, '18,8', '-3.00000000'],
    [7, '16,0', '7'],
  ])('%s as numeric(%s) is %s', (value, size, expected) => {
    const [precision = 0, scale = 0] = size.split(',').map(Number)
    expect(canonicalValue(column('numeric', { precision, scale }), value)).toBe(expected)
  })

  test('of a vector is a Float32Array, from numbers and from base64', () => {
    const vector = column('vector', { dimension: 3 })
    const value = Float32Array.of(0.5, -1, 2)
    expect(canonicalValue(vector, [0.5, -1, 2])).toEqual(value)
    expect(canonicalValue(vector, vectorToBase64(value))).toEqual(value)
    expect(vectorToBase64(value)).toBe('AAAAPwAAgL8AAABA')
  })

  test('is canonical already', () => {
    const time = column('timestamptz')
    const once = canonicalValue(time, new Date(1234))
    expect(canonicalValue(time, once)).toBe(once)
  })
})

test.each([
  ['uuid', column('uuid'), 'no-id'],
  ['text with U+0000', column('text'), 'a\u0000'],
  ['half a character', column('text'), '\ud83d'],
  ['a number as text', column('text'), 1],
  ['too large an integer', column('integer'), 2 ** 31],
  ['a fraction', column('integer'), 1.5],
  ['a text as integer', column('integer'), '1'],
  ['an unsafe bigint', column('bigint'), 2n ** 53n],
  ['NaN', column('double'), Number.NaN],
  ['too many digits', column('numeric', { precision: 5, scale: 2 }), 1000],
  ['digits that rounding makes too many', column('numeric', { precision: 5, scale: 2 }), 999.995],
  ['no number', column('numeric', { precision: 5, scale: 2 }), 'NaN'],
  ['a time without zone', column('timestamptz'), '2026-11-22T01:42:36'],
  ['an invalid Date', column('timestamptz'), new Date(Number.NaN)],
  ['the year 0', column('timestamptz'), '0000-01-01T00:00:00.000Z'],
  ['a day that is not', column('date'), '2026-02-29'],
  ['a function in JSON', column('jsonb'), { a: () => 1 }],
  ['a Date in JSON', column('jsonb'), new Date(0)],
  ['U+0000 in JSON', column('jsonb'), { a: ['\u0000'] }],
  ['a number in a set', column('text[]'), ['a', 1]],
  ['no base64', column('bytea'), '?'],
  ['another dimension', column('vector', { dimension: 3 }), [1, 2]],
  ['infinity in a vector', column('vector', { dimension: 1 }), [Infinity]],
  ['null', column('text'), null],
  ['a value outside the enum', column('text', { values: ['on'] }), 'off'],
  ['too short', column('text', { minLength: 1 }), ''],
  ['too long', column('text', { maxLength: 1 }), '😀a'],
  ['too small', column('integer', { min: 1 }), 0],
  ['too large', column('numeric', { precision: 18, scale: 8, max: 1 }), 1.1],
] as const)('%s is refused with column and value', (_, descriptor, value) => {
  expect(() => canonicalValue(descriptor, value)).toThrow(
    expect.objectContaining({ code: 'invalid_value', message: expect.stringContaining('Column it') }),
  )
})

test('a cycle in JSON is refused', () => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  expect(() => canonicalValue(column('jsonb'), cycle)).toThrow(expect.objectContaining({ code: 'invalid_value' }))
})

test('length counts characters as PostgreSQL does', () => {
  expect(canonicalValue(column('text', { maxLength: 1 }), '😀')).toBe('😀')
})

test.each([
  ['key order of jsonb', column('jsonb'), { a: 1, b: 2 }, { b: 2, a: 1 }, true],
  ['element order of jsonb', column('jsonb'), [1, 2], [2, 1], false],
  ['order of a set', column('text[]'), ['a', 'b'], ['b', 'a'], true],
  ['another set', column('text[]'), ['a', 'b'], ['a', 'c'], false],
  ['equal vectors', column('vector'), Float32Array.of(1, 2), Float32Array.of(1, 2), true],
  ['other vectors', column('vector'), Float32Array.of(1, 2), Float32Array.of(1, 3), false],
  ['null and empty', column('text'), null, '', false],
  ['null and null', column('text'), null, null, true],
] as const)('%s: equal is %5$s', (_, descriptor, a, b, equal) => {
  expect(valuesEqual(descriptor, a, b)).toBe(equal)
  expect(valuesEqual(descriptor, b, a)).toBe(equal)
})

test('the schema of a column parses what the column takes and explains what it does not', () => {
  const schema = columnSchema(column('integer', { max: 5 }))
  expect(schema.parse(3)).toBe(3)
  expect(schema.safeParse(6).error?.issues[0]?.message).toContain('the most is 5')
})
