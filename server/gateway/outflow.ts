import { TideError } from '../../protocol/error.ts'
import type { GatewayTransport } from './seams.ts'

/**
 * Bytes that a client may leave unread before its requests wait and presence is no longer sent. Two pages fit, so that
 * a client that reads is never kept waiting.
 */
export const mostUnread = 4 * 1024 * 1024
/** Bytes that may be sent to it beyond that, batches excepted: the hub's window counts these. */
const mostBeyond = 16 * 1024 * 1024

/**
 * What one connection sends. A client that does not read must not fill the server's memory: while more than
 * `mostUnread` waits for it, requests with big answers wait (`room`), and of presence only the newest frame of each
 * channel is kept. What comes nevertheless is counted, and ends the connection in the end.
 */
export class Outflow {
  readonly #transport: GatewayTransport
  readonly #overrun: (error: TideError) => void
  /** What is sent before the welcome waits for it. */
  #held: Uint8Array[] | undefined = []
  #beyond = 0
  #newest: Map<string, Uint8Array> | undefined
  #room: PromiseWithResolvers<void> | undefined
  #isWatched = false
  #isClosed = false

  constructor(transport: GatewayTransport, overrun: (error: TideError) => void) {
    this.#transport = transport
    this.#overrun = overrun
  }

  /** Sends these, and then what was held for them. */
  open(first: readonly Uint8Array[]): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const frame of [...first, ...held]) this.#transport.send(frame)
  }

  /** `windowed`: the frame is part of a batch, so it is bounded by the window of its session. */
  send(frame: Uint8Array, windowed = false): void {
    if (this.#held) return void this.#held.push(frame)
    this.#transport.send(frame)
    if (windowed || !this.#isFull()) return
    this.#beyond += frame.byteLength
    if (this.#beyond <= mostBeyond) return
    this.#beyond = 0
    this.#overrun(
      new TideError('rate_limited', `The client has left more than ${mostBeyond} bytes of answers unread.`, {
        retryAfterMs: 1000,
      }),
    )
  }

  /** While the client does not read, only the newest frame of each key is kept for it. */
  sendNewest(key: string, frame: Uint8Array): void {
    if (this.#isFull()) (this.#newest ??= new Map()).set(key, frame)
    else this.send(frame)
  }

  /** Sends the last frame, also before the welcome. */
  end(frame: Uint8Array): void {
    this.#transport.send(frame)
  }

  /**
   * Resolves when the client has read enough for another answer. Rejects with `closed` when it is gone. Undefined: at
   * once.
   */
  room(): Promise<void> | undefined {
    if (!this.#isClosed && !this.#isFull()) return undefined
    if (this.#room) return this.#room.promise
    this.#room = Promise.withResolvers()
    this.#room.promise.catch(() => undefined)
    if (this.#isClosed) this.#room.reject(gone())
    return this.#room.promise
  }

  close(): void {
    this.#isClosed = true
    this.#newest = undefined
    this.#room?.reject(gone())
    this.#transport.close()
  }

  #isFull(): boolean {
    if (this.#transport.unread <= mostUnread) return false
    if (this.#isWatched) return true
    this.#isWatched = true
    this.#transport.onceDrained(() => this.#drained())
    return true
  }

  #drained(): void {
    this.#isWatched = false
    if (this.#isClosed || this.#isFull()) return
    this.#beyond = 0
    const newest = this.#newest?.values() ?? []
    this.#newest = undefined
    for (const frame of newest) this.send(frame)
    this.#room?.resolve()
    this.#room = undefined
  }
}

function gone(): TideError {
  return new TideError('closed', 'The connection ended before its request was begun.')
}
