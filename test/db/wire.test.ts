import { expect, test } from 'vitest'
import { ResponseReader, concat } from '../../server/db/wire.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

function message(type: string, body: string): Uint8Array {
  const head = new Uint8Array(5)
  head[0] = type.charCodeAt(0)
  new DataView(head.buffer).setInt32(1, 4 + body.length)
  return concat([head, bytes(body)])
}

test('an answer is passed on without its notifications, wherever its pieces end', () => {
  const notifications = [message('A', '....news\0first\0'), message('A', '....news\0second\0')] as const
  const parts = [
    message('1', ''),
    notifications[0],
    message('D', 'a row'),
    message('C', 'SELECT 1\0'),
    message('Z', 'T'),
    notifications[1],
    message('n', ''),
    message('Z', 'I'),
  ]
  const answer = concat(parts)
  const passed = concat(parts.filter((part) => !notifications.includes(part)))
  for (let size = 1; size <= answer.length; size++) {
    const heard: Uint8Array[] = []
    const reader = new ResponseReader((piece) => heard.push(piece.slice()))
    for (let at = 0; at < answer.length; at += size) reader.take(answer.subarray(at, at + size))
    expect(concat(heard)).toEqual(passed)
    expect(reader.notifications).toEqual(notifications)
    expect(reader.state).toBe('I')
  }
})

test('an answer without ReadyForQuery has no transaction state', () => {
  const reader = new ResponseReader(() => undefined)
  reader.take(message('T', 'Z'))
  expect(reader.state).toBeUndefined()
})
