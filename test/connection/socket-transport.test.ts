import { EventEmitter } from 'node:events'
import { createServer, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server, type Socket } from 'socket.io'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSocketTransport } from '../../client-sdk/connection/socket-transport.ts'
import type { TransportConnection } from '../../client-sdk/connection/transport.ts'
import { decodePacket, encodePacket, frameEvent, type Packet } from '../../protocol/packet-codec.ts'

/** A real socket.io server with the protocol's packets, and nothing of Tidewire behind it. */
class Encoder {
  encode(packet: Packet): ReadonlyArray<string | Uint8Array> {
    const encoded = encodePacket(packet)
    return [typeof encoded === 'string' ? encoded : Buffer.from(encoded)]
  }
}
class Decoder extends EventEmitter {
  add(data: string | Buffer): void {
    this.emit('decoded', decodePacket(data))
  }

  destroy(): void {}
}

let http: HttpServer
let io: Server
let url: string

beforeEach(async () => {
  http = createServer()
  io = new Server(http, { transports: ['websocket'], parser: { Encoder, Decoder } })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
})

afterEach(async () => {
  await io.close()
})

interface Heard {
  readonly wire: TransportConnection
  readonly frames: Uint8Array[]
  readonly opened: Promise<void>
  readonly closed: Promise<string>
  readonly next: () => Promise<Uint8Array>
}

function open(to: string): Heard {
  const [opened, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()]
  const frames: Uint8Array[] = []
  let wake: () => void = () => {}
  const wire = createSocketTransport(to).open({
    opened: () => opened.resolve(),
    closed: (reason) => closed.resolve(reason),
    received: (frame) => {
      frames.push(frame)
      wake()
    },
  })
  const next = async (): Promise<Uint8Array> => {
    while (frames.length === 0) await new Promise<void>((resolve) => (wake = resolve))
    return frames.shift() ?? new Uint8Array()
  }
  return { wire, frames, opened: opened.promise, closed: closed.promise, next }
}

test('carries frames both ways, byte for byte and in order', async () => {
  io.on('connection', (socket: Socket) => {
    socket.on(frameEvent, (frame: Uint8Array) => socket.emit(frameEvent, frame))
  })
  const { wire, opened, next, closed } = open(url)
  await opened
  const sent = [Uint8Array.of(), Uint8Array.of(0, 255, 1), new Uint8Array(300_000).fill(7)]
  for (const frame of sent) wire.send(frame)
  for (const frame of sent) expect(Buffer.compare(await next(), frame)).toBe(0)
  wire.close()
  expect(await closed).toBe('closed here')
})

test('tells the end when the server ends it, and does not come back by itself', async () => {
  let connections = 0
  io.on('connection', (socket: Socket) => {
    connections += 1
    socket.disconnect(true)
  })
  expect(await open(url).closed).not.toBe('')
  expect(connections).toBe(1)
})

test('tells the end when nobody listens', async () => {
  expect(await open('http://127.0.0.1:9').closed).not.toBe('')
})

test('ends on what is not of the protocol', async () => {
  io.on('connection', (socket: Socket) => {
    socket.emit(frameEvent, 'a text')
  })
  expect(await open(url).closed).toBe('a packet without a frame came')
})
