import { describe, expect, test } from 'vitest'
import { mergeText3, mergeTopLevel } from '../../protocol/rows/merge-values.ts'

describe('text merged by line', () => {
  const base = 'one\ntwo\nthree\nfour\nfive'

  test('takes changes of different lines from both sides', () => {
    const merged = mergeText3(base, base.replace('one', '1'), base.replace('five', '5'))
    expect(merged).toEqual({ text: '1\ntwo\nthree\nfour\n5' })
  })

  test('takes what both sides changed alike once', () => {
    const both = base.replace('two', '2')
    expect(mergeText3(base, both.replace('five', '5'), both)).toEqual({
      text: '1\n2\nthree\nfour\n5'.replace('1', 'one'),
    })
  })

  test('takes a deletion beside an insertion elsewhere', () => {
    expect(mergeText3(base, base.replace('one\n', ''), `${base}\nsix`)).toEqual({ text: 'two\nthree\nfour\nfive\nsix' })
  })

  test('conflicts where both sides changed one line differently', () => {
    expect(mergeText3(base, base.replace('two', 'TWO'), base.replace('two', 'Two'))).toEqual({ conflict: true })
  })

  test('conflicts where one side deleted what the other changed', () => {
    expect(mergeText3(base, base.replace('two\n', ''), base.replace('two', 'Two'))).toEqual({ conflict: true })
  })

  test('keeps line ends and empty texts as they are', () => {
    expect(mergeText3('a\r\nb\n', 'a\r\nb\n', '')).toEqual({ text: '' })
    expect(mergeText3('a\n\nb\n', 'A\n\nb\n', 'a\n\nB\n')).toEqual({ text: 'A\n\nB\n' })
  })

  test('gives up on texts that would take seconds', () => {
    const lines = Array.from({ length: 5000 }, () => 'same')
    expect(mergeText3(lines.join('\n'), ['a', ...lines].join('\n'), [...lines, 'b'].join('\n'))).toEqual({
      conflict: true,
    })
  })
})

describe('objects merged by key', () => {
  test('take changes, additions and removals of different keys from both sides', () => {
    const merged = mergeTopLevel({ a: 1, b: 1, c: 1 }, { a: 2, b: 1, c: 1, d: 1 }, { a: 1, c: 1, e: 1 })
    expect(merged).toEqual({ value: { a: 2, c: 1, d: 1, e: 1 }, conflicts: [] })
  })

  test('keep their side and name the key where both changed it', () => {
    expect(mergeTopLevel({ a: 1, b: { x: 1 } }, { a: 2 }, { a: 3, b: { x: 2 } })).toEqual({
      value: { a: 3, b: { x: 2 } },
      conflicts: ['a', 'b'],
    })
  })

  test('see no change in another order of nested keys', () => {
    expect(mergeTopLevel({ a: { x: 1, y: 2 } }, { a: 5 }, { a: { y: 2, x: 1 } })).toEqual({
      value: { a: 5 },
      conflicts: [],
    })
  })

  test('treat keys that objects inherit as any other', () => {
    const mine = JSON.parse('{"__proto__":1,"constructor":2}') as { [key: string]: number }
    expect(JSON.stringify(mergeTopLevel({}, mine, {}).value)).toBe('{"__proto__":1,"constructor":2}')
  })
})
