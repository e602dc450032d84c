import { createUuidSource } from '../../lib/uuid.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import type { Up } from '../../protocol/messages/up.ts'
import { decodePacket, encodePacket, frameEvent, type Packet } from '../../protocol/packet-codec.ts'
import { messageFrame } from '../../protocol/parse.ts'
import { protocolVersion } from '../../protocol/protocol-version.ts'
import { decode as decodeAlone, type Decode } from './decode.ts'
import { openEngineSocket, type EngineConnection } from './engine-socket.ts'

export interface LightClientOptions {
  readonly url: string
  readonly token: string
  readonly channel: string
  /** Milliseconds of `performance.now()` when the batch was complete and decoded, and the positions in it. */
  readonly onPositions?: (positions: readonly number[], at: number) => void
  readonly decode?: Decode
}

const newId = createUuidSource(systemClock, systemRandom)
/** Batches, and bytes, after which a light client acknowledges; the server's window is several times that. */
const ackBatches = 8
const ackBytes = 65_536
const openTimeoutMs = 120_000

/**
 * A client of the wire without a replica: connects, follows the tasks of one channel, takes its first state, hears
 * batches and acknowledges them. Each is a device of its own.
 */
export class LightClient {
  readonly #options: LightClientOptions
  readonly #decode: Decode
  readonly #connection: EngineConnection
  readonly #live = Promise.withResolvers<void>()
  #from: number | undefined
  /** What it last did on the way to live, for error messages. */
  state = 'connecting'
  #closed = false
  #unacknowledged = 0
  #unacknowledgedBytes = 0
  /** Bytes of all frames so far. */
  bytes = 0

  constructor(options: LightClientOptions) {
    this.#options = options
    this.#decode = options.decode ?? decodeAlone
    this.#live.promise.catch(() => undefined)
    this.#connection = openEngineSocket(options.url, {
      opened: () => this.#sendPacket({ type: 0, nsp: '/' }),
      message: (data) => this.#hear(decodePacket(data)),
      closed: (reason) => {
        if (!this.#closed) this.#fail(`The connection ended: ${reason}.`)
      },
    })
  }

  /** Resolves when the first state is complete and changes come live. */
  get live(): Promise<void> {
    return this.#live.promise
  }

  close(): void {
    this.#closed = true
    this.#connection.close()
  }

  #hear({ type, data }: Packet): void {
    if (type === 0) return this.#hello()
    const frame: unknown = Array.isArray(data) ? data[1] : undefined
    if (type === 2 && frame instanceof Uint8Array) return this.#take(frame)
    if (type === 1 || type === 4) this.#fail(`The server refused: ${JSON.stringify(data)}.`)
  }

  #hello(): void {
    this.state = 'greeting'
    this.#send({
      type: 'hello',
      protocol: protocolVersion,
      schemaHash: 'bench',
      token: this.#options.token,
      device: { fingerprint: newId(), name: 'bench', kind: 'server', storageEngine: 'memory' },
      cursor: null,
      clientSeq: 0,
    })
  }

  #take(frame: Uint8Array): void {
    this.bytes += frame.byteLength
    const decoded = this.#decode(frame)
    if ('positions' in decoded) {
      const { to, more, activated } = decoded.message
      if (decoded.positions.length > 0) this.#options.onPositions?.(decoded.positions, performance.now())
      if (activated.length > 0) this.#live.resolve()
      if (!more) this.#acknowledge(to, frame.byteLength)
      return
    }
    this.state = `past ${decoded.type}`
    switch (decoded.type) {
      case 'welcome':
        return this.#send({
          type: 'subscribe',
          subscriptions: [
            { id: 's', channel: this.#options.channel, tables: ['tasks'], embeddings: false, held: false },
          ],
        })
      case 'subscribed':
        return decoded.error
          ? this.#fail(decoded.error.message)
          : this.#send({ type: 'page', subscription: 's', after: null })
      case 'page':
        this.#from ??= decoded.from
        if (decoded.next === null) this.#send({ type: 'activate', subscription: 's', from: this.#from })
        else this.#send({ type: 'page', subscription: 's', after: decoded.next })
        return
      case 'error':
        return this.#fail(`${decoded.error.code}: ${decoded.error.message}`)
      default:
    }
  }

  #acknowledge(seq: number, bytes: number): void {
    this.#unacknowledged++
    this.#unacknowledgedBytes += bytes
    if (this.#unacknowledged < ackBatches && this.#unacknowledgedBytes < ackBytes) return
    this.#unacknowledged = 0
    this.#unacknowledgedBytes = 0
    this.#send({ type: 'ack', seq })
  }

  #send(message: Up): void {
    this.#sendPacket({ type: 2, nsp: '/', data: [frameEvent, messageFrame(message)] })
  }

  #sendPacket(packet: Packet): void {
    this.#connection.send(encodePacket(packet))
  }

  #fail(reason: string): void {
    this.#live.reject(new Error(reason))
    if (!this.#closed) failures.push(reason)
  }
}

/** What went wrong on any light client since the last look. */
const failures: string[] = []

/** What befell the clients of a workload that has failed is not told of the next one. */
export function forgetLightClients(): void {
  failures.length = 0
}

/** Throws when a light client lost its connection or was told an error since the last call. */
export function checkLightClients(): void {
  const [first] = failures
  const count = failures.length
  failures.length = 0
  if (first !== undefined) throw new Error(`${count} light clients failed, the first with: ${first}`)
}

/** A client that never becomes live would hold the bench for ever. */
async function withTimeout(client: LightClient): Promise<void> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(
    () =>
      late.reject(new Error(`A light client was not live within ${openTimeoutMs / 1000} s; it is ${client.state}.`)),
    openTimeoutMs,
  )
  try {
    await Promise.race([client.live, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** Many light clients as one. */
export interface Crowd extends Disposable {
  readonly size: number
}

/** Opens so many clients, at most 100 opening at a time, and waits until all are live. Disposing closes them. */
export async function openLightClients(count: number, options: LightClientOptions): Promise<Crowd> {
  const clients: LightClient[] = []
  const openNext = async (): Promise<void> => {
    while (clients.length < count) {
      const client = new LightClient(options)
      clients.push(client)
      await withTimeout(client)
    }
  }
  const close = (): void => {
    for (const client of clients) client.close()
  }
  try {
    await Promise.all(Array.from({ length: 100 }, openNext))
  } catch (error) {
    close()
    throw error
  }
  return { size: count, [Symbol.dispose]: close }
}
