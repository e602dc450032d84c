import type { IncomingMessage } from 'node:http'
import type { Socket } from 'socket.io'
import { frameEvent } from '../../protocol/packet-codec.ts'
import { mostUnread } from './outflow.ts'
import type { GatewayTransport } from './seams.ts'

/**
 * A connection of socket.io. engine.io gives what waits to the socket in portions, the next one when the last is taken.
 */
export class SocketTransport implements GatewayTransport {
  readonly #socket: Socket
  readonly #frameBytes: number
  readonly #tcp: IncomingMessage['socket'] | undefined
  /** Bytes of the portion that is with the socket, and of what waits behind it. */
  #written = 0
  #waiting = 0
  #drained: (() => void) | undefined

  /** `frameBytes`: of one frame, once the client is known. */
  constructor(socket: Socket, frameBytes: number) {
    this.#socket = socket
    this.#frameBytes = frameBytes
    const { conn }: { conn: { request: IncomingMessage | undefined } } = socket
    this.#tcp = conn.request?.socket
    socket.conn.on('flush', () => {
      this.#written += this.#waiting
      this.#waiting = 0
    })
    socket.conn.transport.on('drain', () => {
      this.#written = 0
      const drained = this.#drained
      this.#drained = undefined
      drained?.()
    })
  }

  get unread(): number {
    return this.#written + this.#waiting
  }

  onceDrained(listener: () => void): void {
    this.#drained = listener
  }

  send(frame: Uint8Array): void {
    this.#waiting += frame.byteLength
    this.#socket.emit(frameEvent, frame)
  }

  greeted(): void {
    limitFrames(this.#socket.conn, this.#frameBytes)
  }

  close(): void {
    this.#socket.disconnect(true)
    // A client that does not read would not read its end either, and what waits for it would stay for a minute.
    if (this.unread > mostUnread) this.#tcp?.destroy()
  }
}

/**
 * The most bytes of one frame on this connection; a larger one ends it when its header comes, before it is read.
 * engine.io sets one limit for all connections, and `ws` has no way to change that of one: where its receiver is not as
 * it was, all stay at the first.
 */
export function limitFrames(conn: Socket['conn'], bytes: number): void {
  const receiver = (conn as unknown as Carrier).transport.socket?._receiver
  if (receiver?._maxPayload !== undefined) receiver._maxPayload = bytes
}

/** Of `engine.io` and `ws`, whose types leave it out. */
interface Carrier {
  readonly transport: { readonly socket?: { readonly _receiver?: { _maxPayload?: number } } }
}
