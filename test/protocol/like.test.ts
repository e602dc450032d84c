import { describe, expect, test } from 'vitest'
import { compileLike } from '../../protocol/rows/like.ts'

describe('like', () => {
  test.each([
    ['a%', 'abc', true],
    ['a%', 'ba', false],
    ['%c', 'abc', true],
    ['%b%', 'abc', true],
    ['a%c%e', 'abcde', true],
    ['a_c', 'abc', true],
    ['a_c', 'ac', false],
    ['_', '😀', true],
    ['__', '😀', false],
    ['%_', '', false],
    [String.raw`\%`, '%', true],
    [String.raw`\%`, 'x', false],
    [String.raw`\\`, '\\', true],
    ['', '', true],
    ['%', '', true],
    ['A', 'a', false],
    ['%aab', 'aaaab', true],
    ['a.c', 'abc', false],
  ])('%j on %j is %s', (pattern, text, expected) => {
    expect(compileLike(pattern, false)(text)).toBe(expected)
  })

  test('folds the case of ASCII letters alone when asked to', () => {
    expect(compileLike('aB%', true)('Abc')).toBe(true)
    expect(compileLike('ä', true)('Ä')).toBe(false)
    expect(compileLike('k', true)('\u212a')).toBe(false)
  })

  test('needs no more steps than pattern times text, whatever the pattern', () => {
    const matches = compileLike('%a'.repeat(100), false)
    expect(matches('a'.repeat(99) + 'b'.repeat(100_000))).toBe(false)
  })
})
