import { describe, expect, test } from 'vitest'
import { refusalText, withoutGiven } from '../../server/maintenance/embedding/foreign-words.ts'

const given = { texts: ['Meet Grace Hopper at noon, room 12; 東京'], secrets: ['sk-live-9f8e7d6c'] }

describe('what a service says', () => {
  test.for([
    ['This model takes 8192 tokens, and you asked for 9000.', 'This model takes 8192 tokens, and you asked for 9000.'],
    ['Cannot embed "Grace Hopper".', 'Cannot embed "…".'],
    ['Cannot embed "grace hop".', 'Cannot embed "…".'],
    ['Room 12 is not 13.', '… is not 13.'],
    ['Incorrect API key: sk-live-9f8e****7d6c', 'Incorrect API key: sk-…'],
    ['無効: 東京', '…'],
    ['one\n\ttwo\u0000', 'one …'],
  ] as const)('“%s” is kept as “%s”', ([said, kept]) => {
    expect(withoutGiven(said, given)).toBe(kept)
  })

  test('is one line of at most 300 characters', () => {
    expect(withoutGiven('word '.repeat(10_000), given)).toHaveLength(300)
  })
})

describe('a refusal', () => {
  test.for([
    ['{"error":{"message":"Too long","type":"invalid_request_error","code":"too_long"}}', '400 (too_long): Too long'],
    [
      '{"error":{"message":"Too long","type":"invalid_request_error","code":null}}',
      '400 (invalid_request_error): Too long',
    ],
    ['{"message":"Slow down","code":"busy"}', '400 (busy): Slow down'],
    ['{"error":{"message":"Who?","code":"9f8e7d6c"}}', '400: Who?'],
    ['{"error":"model not found"}', '400: {"error":"model not found"}'],
    ['<html>Bad gateway</html>', '400: <html>Bad gateway</html>'],
    ['', '400'],
  ] as const)('%s is told as “%s”', ([body, told]) => {
    expect(refusalText(400, body, given)).toBe(told)
  })
})
