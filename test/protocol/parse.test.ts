import { describe, expect, test } from 'vitest'
import { encodeFrame } from '../../protocol/frame.ts'
import type { Up } from '../../protocol/messages/up.ts'
import { messageFrame, parseDown, parseUp } from '../../protocol/parse.ts'

const id = '0190b3f0-0000-7000-8000-000000000001'
const push: Up = {
  type: 'push',
  mutations: [
    { id, clientSeq: 1, table: 'tasks', rowId: id, op: 'patch', set: { title: 'a' }, base: { title: null }, at: 1 },
  ],
}
const search = { type: 'search', ref: 1, table: 'tasks', limit: 1 }
const device = { fingerprint: 'fingerprint', name: 'laptop', kind: 'server', storageEngine: 'memory' }
const hello = { type: 'hello', protocol: 1, schemaHash: '', token: 't', device, cursor: null, clientSeq: 0 }

function frameWith(message: unknown): Uint8Array {
  return encodeFrame({ message, sections: [] })
}

describe('a message', () => {
  test('comes back as it was', () => {
    expect(parseUp(messageFrame(push))).toEqual({ message: push, sections: [] })
    expect(parseDown(messageFrame({ type: 'frontier', seq: 5, at: 1 })).message).toEqual({
      type: 'frontier',
      seq: 5,
      at: 1,
    })
  })

  test.each<[string, unknown]>([
    [
      'A message of type "push" is refused at mutations[0].rowId: must be a lower-case UUID',
      { ...push, mutations: [{ ...push.mutations[0], rowId: 'x' }] },
    ],
    ['A message of type "ack" is refused at seq', { type: 'ack', seq: -1 }],
    ['A message of type "ack" is refused: Unrecognized key', { type: 'ack', seq: 1, more: true }],
    ['A message of type "search" is refused at text: has U+0000', { ...search, text: 'a\u0000' }],
    [
      'A message of type "hello" is refused at device.name: has U+0000',
      { ...hello, device: { ...device, name: '\ud800' } },
    ],
    [
      'A message of type "hello" is refused at device.fingerprint: has U+0000',
      { ...hello, device: { ...device, fingerprint: 'fingerprint\u0000' } },
    ],
    ['A message of type "shout" is refused at type', { type: 'shout' }],
    ['A message without a type is refused at type', {}],
    ['A message without a type is refused', null],
  ])('is refused: %s', (text, message) => {
    expect(() => parseUp(frameWith(message))).toThrow(
      expect.objectContaining({ code: 'bad_message', message: expect.stringContaining(text) as string }) as Error,
    )
  })

  test('nested very deep is read or refused, and no crash', () => {
    const deep = `{"type":"call","ref":1,"id":"${id}","action":"x","input":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    const header = new TextEncoder().encode(deep)
    const bytes = new Uint8Array(6 + header.length)
    new DataView(bytes.buffer).setUint32(0, header.length, true)
    bytes.set(header, 6)
    expect(() => parseUp(bytes)).toThrow(expect.objectContaining({ code: 'bad_message' }) as Error)
  })

  test('of a client is none of a server', () => {
    expect(() => parseDown(messageFrame(push))).toThrow('A message of type "push" is refused at type')
  })
})
