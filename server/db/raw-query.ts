import type { Duplex } from 'node:stream'
import pg from 'pg'
import { readInPlace } from './bulk-socket.ts'

/**
 * Takes the fields of one row, which ends before `end`: at `offset` their number (16 bits), then of each its length (32
 * bits, -1: null) and its bytes. Valid during the call.
 */
export type TakeRow = (bytes: Buffer, offset: number, end: number) => void

const dataRow = 0x44
/** Type and length of a message. */
const headBytes = 5

/**
 * Runs a statement whose rows go to `take` as they come from the socket, in Postgres' binary format. Everything else
 * passes through pg as always. pg itself would make a string of every field, which is half of what reading a page costs.
 * Nobody else may use the client meanwhile. Rejects with what `take` throws.
 */
export async function queryRaw(client: pg.ClientBase, config: pg.QueryConfig, take: TakeRow): Promise<void> {
  const stream = streamOf(client)
  const listeners = stream.listeners('data') as ((bytes: Buffer) => void)[]
  const tap = new RowTap(take, (bytes) => {
    for (const listener of listeners) listener.call(stream, bytes)
  })
  const read = (bytes: Buffer): void => tap.read(bytes)
  const isInPlace = readInPlace(stream, read)
  if (!isInPlace) replace(stream, listeners, [read])
  try {
    await runUndescribed(client, config)
  } finally {
    if (isInPlace) readInPlace(stream, undefined)
    else replace(stream, [read], listeners)
    tap.end()
  }
  if (tap.failure !== undefined) throw tap.failure
}

function runUndescribed(client: pg.ClientBase, config: pg.QueryConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    const query = new UndescribedQuery({ ...config, binary: true } as pg.QueryConfig)
    const callback = (error: Error | null): void => (error ? reject(error) : resolve())
    // pg's types know callbacks only of its own queries.
    ;(client as unknown as QueryRunner).query(query, callback)
  })
}

interface QueryRunner {
  query(query: pg.Query, callback: (error: Error | null) => void): void
}

/** What a query of pg asks of a connection, which its types leave out. */
interface Preparing {
  describe(portal: unknown): void
}
const Prepared = pg.Query as unknown as new (config: pg.QueryConfig) => pg.Query & {
  /** Parses, binds, describes and executes, in one write. */
  prepare(connection: Preparing): void
  requiresPreparation(): boolean
}

/** pg asks what the columns of an answer are, each time: with 50 columns that is as long as a row, and nobody reads it. */
class UndescribedQuery extends Prepared {
  /** Only the extended protocol knows binary results; without parameters pg would take the simple one. */
  override requiresPreparation(): boolean {
    return true
  }

  override prepare(connection: Preparing): void {
    super.prepare(Object.create(connection, { describe: { value: () => undefined } }) as Preparing)
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

/** Takes rows out of the stream of messages and lets copies of the rest pass, whole messages at a time. */
class RowTap {
  readonly #take: TakeRow
  readonly #pass: (bytes: Buffer) => void
  /** The pieces of a message that is not complete yet, how many bytes they have, and how many are needed to go on. */
  #pieces: Buffer[] = []
  #have = 0
  #need = 0
  failure: Error | undefined

  constructor(take: TakeRow, pass: (bytes: Buffer) => void) {
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
      if (bytes[at] === dataRow) {
        if (passFrom < at) this.#pass(Buffer.from(bytes.subarray(passFrom, at)))
        passFrom = end
        this.#row(bytes, at + headBytes, end)
      }
      at = end
      need = headBytes
    }
    if (passFrom < at) this.#pass(Buffer.from(bytes.subarray(passFrom, at)))
    this.#need = need
    if (at < bytes.length) this.#keep(bytes.subarray(at))
  }

  #row(bytes: Buffer, offset: number, end: number): void {
    if (this.failure !== undefined) return
    try {
      this.#take(bytes, offset, end)
    } catch (error) {
      this.failure = error instanceof Error ? error : new Error('A row could not be taken', { cause: error })
    }
  }

  #keep(bytes: Buffer): void {
    this.#pieces.push(Buffer.from(bytes))
    this.#have += bytes.length
  }
}
