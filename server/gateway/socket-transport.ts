import type { IncomingMessage } from 'node:http'
import type { Socket } from 'socket.io'
import { frameEvent } from '../../protocol/packet-codec.ts'
import { mostUnread } from './outflow.ts'
import type { GatewayTransport } from './seams.ts'

/** A connection of socket.io. engine.io gives what waits to the socket in portions, the next one when the last is taken. */
export class SocketTransport implements GatewayTransport {
  readonly #socket: Socket
  readonly #tcp: IncomingMessage['socket'] | undefined
  /** Bytes of the portion that is with the socket, and of what waits behind it. */
  #written = 0
  #waiting = 0
  #drained: (() => void) | undefined

  constructor(socket: Socket) {
    this.#socket = socket
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

  close(): void {
    this.#socket.disconnect(true)
    // A client that does not read would not read its end either, and what waits for it would stay for a minute.
    if (this.unread > mostUnread) this.#tcp?.destroy()
  }
}
