// A client without SDK: says exactly what a test tells it to, and shows exactly what the server answers.
import { EventEmitter } from 'node:events'
import { io, type Socket } from 'socket.io-client'
import { frameEvent, decodePacket, encodePacket, type Packet } from '../../protocol/packet-codec.ts'
import { messageFrame, parseDown } from '../../protocol/parse.ts'
import type { Down, DownOf } from '../../protocol/messages/down.ts'
import type { Up, UpOf } from '../../protocol/messages/up.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'

/** Names of columns that never leave the server, but for those that other tables show. */
const neverSent = (() => {
  const tables = [...loadCatalog().synced.values()]
  const shown = new Set(tables.flatMap(({ descriptor }) => Object.keys(descriptor.columns)))
  return [...new Set(tables.flatMap(({ hidden }) => hidden))].filter((name) => !shown.has(name) && name !== 'channel')
})()

class Encoder {
  encode(packet: Packet): ReadonlyArray<string | Uint8Array> {
    return [encodePacket(packet)]
  }
}

class Decoder extends EventEmitter {
  add(data: string | ArrayBuffer | Uint8Array): void {
    this.emit('decoded', decodePacket(data))
  }

  destroy(): void {
    // Holds nothing.
  }
}

export class RawClient {
  readonly #socket: Socket
  readonly #heard: Down[] = []
  readonly #frames: Buffer[] = []
  readonly #waiting = new Set<() => void>()
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>
  isClosed = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on(frameEvent, (frame: Uint8Array) => {
      const bytes = Buffer.from(frame)
      this.#frames.push(bytes)
      const secret = neverSent.find((name) => bytes.includes(name))
      // Nobody can go on after that: as an uncaught error it fails whichever test runs.
      if (secret !== undefined) throw new Error(`The hidden column ${secret} is in a frame.`)
      this.#heard.push(parseDown(frame).message)
      this.#wakeAll()
    })
    this.closed = new Promise((resolve) => {
      socket.on('disconnect', () => {
        this.isClosed = true
        this.#wakeAll()
        resolve()
      })
    })
  }

  /** With `origin` as the page of a browser would, and with what else it sends. */
  static async connect(
    url: string,
    origin?: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<RawClient> {
    const socket = io(url, {
      transports: ['websocket'],
      parser: { Encoder, Decoder },
      reconnection: false,
      forceNew: true,
      extraHeaders: { ...headers, ...(origin === undefined ? {} : { origin }) },
    })
    // Before it connects: what the server says at once, and then goes, must be heard.
    const client = new RawClient(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('connect_error', reject)
    })
    return client
  }

  /** Connects, says hello and waits for the welcome. */
  static async greeted(
    url: string,
    token: string,
    hello: Partial<UpOf<'hello'>> = {},
  ): Promise<{ client: RawClient; welcome: DownOf<'welcome'> }> {
    const client = await RawClient.connect(url)
    client.send(helloOf(token, hello))
    return { client, welcome: await client.next('welcome') }
  }

  send(message: Up): void {
    this.#socket.emit(frameEvent, messageFrame(message))
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.emit(frameEvent, bytes)
  }

  /**
   * What was heard of this type and not asked for yet, or the next that comes. Rejects when the connection ends first.
   */
  async next<T extends Down['type']>(
    type: T,
    matches: (message: DownOf<T>) => boolean = () => true,
  ): Promise<DownOf<T>> {
    for (;;) {
      const index = this.#heard.findIndex((message) => message.type === type && matches(message as DownOf<T>))
      if (index !== -1) return this.#heard.splice(index, 1)[0] as DownOf<T>
      if (this.isClosed)
        throw new Error(`The connection ended before a ${type} came. Heard: ${JSON.stringify(this.#heard)}`)
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  /** Whether a frame so far had this text in it, in rows too; of pages only as long as they are small. */
  saw(text: string): boolean {
    return this.#frames.some((bytes) => bytes.includes(text))
  }

  /** Waits for a frame with this text in it. Rejects when the connection ends first. */
  async sees(text: string): Promise<void> {
    while (!this.saw(text)) {
      if (this.isClosed) throw new Error(`The connection ended before “${text}” came.`)
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  /** How many of this type were heard and not asked for yet. */
  count(type: Down['type']): number {
    return this.#heard.filter((message) => message.type === type).length
  }

  /**
   * Reads nothing from the connection any more, until `read`: what the server sends fills the buffers of both machines.
   */
  stopReading(): void {
    this.#webSocket.pause()
  }

  read(): void {
    this.#webSocket.resume()
  }

  /** As the engine of socket.io has it in Node; its types say so nowhere. */
  get #webSocket(): { pause(): void; resume(): void } {
    return (this.#socket.io.engine.transport as unknown as { ws: { pause(): void; resume(): void } }).ws
  }

  close(): void {
    this.#socket.disconnect()
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }
}

let lastDevice = 0

/** A good hello of a new device, but for what is given. */
export function helloOf(token: string, hello: Partial<UpOf<'hello'>> = {}): UpOf<'hello'> {
  lastDevice += 1
  return {
    type: 'hello',
    protocol: 1,
    schemaHash: 'test',
    token,
    cursor: null,
    clientSeq: 0,
    device: {
      fingerprint: `raw-client-${process.pid}-${lastDevice}`,
      name: `raw ${lastDevice}`,
      kind: 'cli',
      storageEngine: 'memory',
    },
    ...hello,
  }
}
