import type { Duplex } from 'node:stream'
import type pg from 'pg'
import { readInPlace } from './bulk-socket.ts'

export { createBulkSocket } from './bulk-socket.ts'

/**
 * Takes one message of Postgres, without type and length: the bytes from `offset` to `end`, valid during the call. Must
 * not throw.
 */
export type TakeMessage = (bytes: Buffer, offset: number, end: number) => void

/** Types of messages that are worth it, by their letters in the protocol. */
export const messageKind = { dataRow: 0x44, copyData: 0x64 } as const
/** Type and length of a message. */
const headBytes = 5

/**
 * Gives messages of one kind to `take` as they come from the socket; everything else passes through pg as always, which
 * would make objects of each of them. `onRead` is told after each read of the socket how many bytes it brought. Ends
 * with the call of what it returns.
 */
export function tapMessages(
  client: pg.ClientBase,
  kind: number,
  take: TakeMessage,
  onRead: (bytes: number) => void = () => undefined,
): () => void {
  const stream = streamOf(client)
  const listeners = stream.listeners('data') as ((bytes: Buffer) => void)[]
  const tap = new MessageTap(kind, take, (bytes) => {
    for (const listener of listeners) listener.call(stream, bytes)
  })
  const read = (bytes: Buffer): void => {
    tap.read(bytes)
    onRead(bytes.length)
  }
  const isInPlace = readInPlace(stream, read)
  if (!isInPlace) replace(stream, listeners, [read])
  return () => {
    if (isInPlace) readInPlace(stream, undefined)
    else replace(stream, [read], listeners)
    tap.end()
  }
}

function replace(
  stream: Duplex,
  before: readonly ((bytes: Buffer) => void)[],
  after: readonly ((bytes: Buffer) => void)[],
): void {
  for (const listener of before) stream.off('data', listener)
  for (const listener of after) stream.on('data', listener)
}

/** pg has no public way to the bytes it receives; pg-copy-streams takes this one too. */
function streamOf(client: pg.ClientBase): Duplex {
  return (client as unknown as { readonly connection: { readonly stream: Duplex } }).connection.stream
}

/** Takes messages of one kind out of the stream and lets copies of the rest pass, whole messages at a time. */
class MessageTap {
  readonly #kind: number
  readonly #take: TakeMessage
  readonly #pass: (bytes: Buffer) => void
  /** The pieces of a message that is not complete yet, how many bytes they have, and how many are needed to go on. */
  #pieces: Buffer[] = []
  #have = 0
  #need = 0

  constructor(kind: number, take: TakeMessage, pass: (bytes: Buffer) => void) {
    this.#kind = kind
    this.#take = take
    this.#pass = pass
  }

  read(bytes: Buffer): void {
    if (this.#have === 0) return this.#messages(bytes)
    const missing = this.#need - this.#have
    if (bytes.length < missing) return this.#keep(bytes)
    // Only the message that was cut is joined: the rest may be many times as long.
    const joined = Buffer.concat([...this.#pieces, bytes.subarray(0, missing)])
    this.#pieces = []
    this.#have = 0
    this.#messages(joined)
    if (missing < bytes.length) this.read(bytes.subarray(missing))
  }

  /** What is left belongs to pg, which knows how to go on. */
  end(): void {
    for (const piece of this.#pieces) this.#pass(piece)
  }

  #messages(bytes: Buffer): void {
    let at = 0
    let passFrom = 0
    let need = headBytes
    while (at + headBytes <= bytes.length) {
      need = 1 + bytes.readInt32BE(at + 1)
      const end = at + need
      if (end > bytes.length) break
      if (bytes[at] === this.#kind) {
        if (passFrom < at) this.#pass(Buffer.from(bytes.subarray(passFrom, at)))
        passFrom = end
        this.#take(bytes, at + headBytes, end)
      }
      at = end
      need = headBytes
    }
    if (passFrom < at) this.#pass(Buffer.from(bytes.subarray(passFrom, at)))
    this.#need = need
    if (at < bytes.length) this.#keep(bytes.subarray(at))
  }

  #keep(bytes: Buffer): void {
    this.#pieces.push(Buffer.from(bytes))
    this.#have += bytes.length
  }
}
