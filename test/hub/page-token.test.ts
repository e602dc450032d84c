import { expect, test } from 'vitest'
import { firstPlace, fromToken, toToken } from '../../server/hub/page-token.ts'
import { taskId } from './changes.ts'

test('a place survives the way to the client and back', () => {
  for (const place of [
    { table: 0, afterId: null },
    { table: 12, afterId: taskId(1) },
  ])
    expect(fromToken(toToken(place))).toEqual(place)
})

test('no token is the first place', () => {
  expect(fromToken(null)).toEqual(firstPlace)
})

test('a token that nobody made is refused', () => {
  for (const token of [
    '',
    '{',
    '[]',
    '[1]',
    '[-1,null]',
    '[1.5,null]',
    '["0",null]',
    '[0,"x"]',
    `[0,"' or true --"]`,
    '{"table":0}',
  ]) {
    expect(() => fromToken(token)).toThrow(expect.objectContaining({ code: 'bad_message' }))
  }
})
