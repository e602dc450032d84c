import { EventEmitter } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { io } from 'socket.io-client'
import { describe, expect, test } from 'vitest'
import { messageFrame } from '../../protocol/parse.ts'
import { decodePacket, encodePacket, frameEvent, type Packet } from '../../protocol/packet-codec.ts'

const frame = Uint8Array.of(1, 2, 3)
const framePacket: Packet = { type: 2, nsp: '/', data: [frameEvent, frame] }

describe('a packet', () => {
  test.each<Packet>([
    framePacket,
    { type: 0, nsp: '/' },
    { type: 0, nsp: '/', data: { sid: 'x' } },
    { type: 1, nsp: '/' },
    { type: 2, nsp: '/', data: ['hello', { a: 1 }], id: 7 },
    { type: 3, nsp: '/', data: ['answer'], id: 0 },
    { type: 4, nsp: '/admin', data: { message: 'no' } },
  ])('comes back as it was: %j', (packet) => {
    expect(decodePacket(encodePacket(packet))).toEqual(packet)
  })

  test('with a frame is that frame after one byte, read without a copy', () => {
    const bytes = encodePacket(framePacket)
    expect(bytes).toEqual(Uint8Array.of(1, 1, 2, 3))
    const read = decodePacket(Buffer.from(bytes))
    expect(read).toEqual(framePacket)
    expect(decodePacket(Uint8Array.of(1, 1, 2, 3).buffer)).toEqual(framePacket)
  })

  test.each([
    'x',
    '1',
    'null',
    '[]',
    '{}',
    '{"type":5,"nsp":"/"}',
    '{"type":2,"nsp":"/"}',
    '{"type":2,"nsp":"/","data":["connect"]}',
    '{"type":2,"nsp":1,"data":["f"]}',
    '{"type":1,"nsp":"/","data":1}',
    '{"type":3,"nsp":"/","data":[],"id":"1"}',
  ])('is refused: %s', (text) => {
    expect(() => decodePacket(text)).toThrow(expect.objectContaining({ code: 'bad_frame' }) as Error)
  })

  test('of other bytes is refused', () => {
    expect(() => decodePacket(new Uint8Array())).toThrow('its first byte is missing')
    expect(() => decodePacket(Uint8Array.of(2))).toThrow('its first byte is 2')
  })
})

test('the sample of docs/protocol.md is what is sent', () => {
  const bytes = encodePacket({ type: 2, nsp: '/', data: [frameEvent, messageFrame({ type: 'ack', seq: 5 })] })
  const hex = typeof bytes === 'string' ? '' : Buffer.from(bytes).toString('hex')
  expect(hex).toBe('01160000000000' + '7b2274797065223a2261636b222c22736571223a357d')
})

test('socket.io carries frames and events with this codec as its parser', async () => {
  const parser = {
    Encoder: class {
      encode = (packet: Packet) => [encodePacket(packet)]
    },
    Decoder: class extends EventEmitter {
      add(data: string | ArrayBuffer | Uint8Array): void {
        this.emit('decoded', decodePacket(data))
      }
      destroy(): void {}
    },
  }
  const http = createServer()
  const server = new Server(http, { parser, transports: ['websocket'] })
  server.on('connection', (socket) => {
    socket.on(frameEvent, (bytes: Uint8Array) => socket.emit(frameEvent, Uint8Array.of(...bytes, 9)))
    socket.on('ask', (value: number, answer: (value: number) => void) => answer(value + 1))
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const client = io(`http://127.0.0.1:${(http.address() as AddressInfo).port}`, { parser, transports: ['websocket'] })
  try {
    const answered = new Promise<Uint8Array>((resolve) => client.once(frameEvent, resolve))
    client.emit(frameEvent, frame)
    expect(new Uint8Array(await answered)).toEqual(Uint8Array.of(1, 2, 3, 9))
    expect(await client.emitWithAck('ask', 1)).toBe(2)
  } finally {
    client.close()
    await server.close()
  }
})
