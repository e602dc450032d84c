import { createServer, type Server, type Socket } from 'node:net'
import type { CancelTimer, Clock } from '../../lib/clock.ts'
import { SocketGather } from './socket-gather.ts'
import {
  channelOf,
  closeStatements,
  concat,
  fatalError,
  ownStatement,
  queryMessage,
  ResponseReader,
  splitMessages,
  sqlOf,
  startupReply,
  syncMessage,
  type ClientMessage,
  type TransactionState,
} from './wire.ts'

/**
 * The one backend: takes whole wire messages, and hands over the answer to them during the call, in pieces that are
 * valid only then.
 */
export interface Backend {
  exec(messages: Uint8Array, take: (piece: Uint8Array) => void): void
}

export interface TurnOptions {
  readonly clock: Clock
  /** What connections are told at start: server_version, encodings, time zone. */
  readonly parameters: Readonly<Record<string, string>>
  /** A connection that holds a transaction open this long without a word, while others wait, is cut. Milliseconds. */
  readonly idleTransactionMs: number
}

/** Ends a run of messages that must reach the backend together: Sync, Query, Flush, function call and COPY. */
const runEnds = new Set(['S', 'Q', 'H', 'F', 'd', 'c', 'f'])

interface Connection {
  readonly id: number
  readonly socket: Socket
  readonly statements: Set<string>
  readonly listening: Set<string>
  buffer: Uint8Array
  started: boolean
  /** Messages not yet ended by one of `runEnds`. */
  run: Uint8Array[]
  /** Runs that wait for their turn. */
  readonly runs: Uint8Array[]
  closed: boolean
}

/**
 * Lets many Postgres connections share one backend by taking turns. A turn begins with a run of messages and lasts
 * until the backend says that it is idle: a transaction, or a Parse … Sync sequence, is never cut into by another
 * connection. (pglite-socket 0.2 queues single messages: two connections that use parameters at the same time get
 * each other's unnamed statement.) Notifications go to the connections that listen, as in Postgres; prepared statement
 * names belong to their connection. What they still share: session settings (use SET LOCAL), temporary tables and
 * session advisory locks (use transaction ones).
 */
export class TurnServer {
  readonly #backend: Backend
  readonly #options: TurnOptions
  readonly #connections = new Set<Connection>()
  readonly #waiting: Connection[] = []
  readonly #server: Server
  readonly #gather = new SocketGather()
  #owner: Connection | undefined
  #state: TransactionState | undefined = 'I'
  #lastId = 0
  #pumping = false
  #cancelGuard: CancelTimer | undefined
  /** Prepared statements of connections that are gone. */
  #orphans: string[] = []

  constructor(backend: Backend, options: TurnOptions) {
    this.#backend = backend
    this.#options = options
    this.#server = createServer((socket) => this.#accept(socket))
  }

  async listen(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(path, resolve)
    })
  }

  /**
   * Takes no more connections and cuts those that are left; what has no turn yet is lost, open transactions roll back.
   */
  async close(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const connection of this.#connections) {
      connection.socket.destroy()
      this.#forget(connection)
    }
    await ended
  }

  #accept(socket: Socket): void {
    this.#lastId += 1
    const connection: Connection = {
      id: this.#lastId,
      socket,
      statements: new Set(),
      listening: new Set(),
      buffer: new Uint8Array(0),
      started: false,
      run: [],
      runs: [],
      closed: false,
    }
    this.#connections.add(connection)
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#receive(connection, chunk))
    socket.on('error', () => this.#forget(connection))
    socket.on('close', () => this.#forget(connection))
  }

  #receive(connection: Connection, chunk: Buffer): void {
    if (connection.closed) return
    try {
      const buffer = connection.buffer.length === 0 ? chunk : concat([connection.buffer, chunk])
      const { messages, rest } = splitMessages(buffer, connection.started)
      connection.buffer = rest
      for (const message of messages) this.#take(connection, message)
    } catch (error) {
      this.#cut(connection, '08P01', error instanceof Error ? error.message : 'The protocol was broken.')
    }
    this.#pump()
  }

  #take(connection: Connection, message: ClientMessage): void {
    if (message.type === 'ssl') connection.socket.write('N')
    else if (message.type === 'cancel' || message.type === 'X') connection.socket.end()
    else if (message.type === 'startup') {
      connection.started = true
      connection.socket.write(startupReply(this.#options.parameters, connection.id))
    } else this.#queue(connection, message)
  }

  #queue(connection: Connection, message: ClientMessage): void {
    const { bytes, prepared } = ownStatement(message, `c${connection.id}_`)
    if (prepared !== undefined) connection.statements.add(prepared)
    followListen(connection.listening, message)
    connection.run.push(bytes)
    if (!runEnds.has(message.type)) return
    connection.runs.push(concat(connection.run))
    connection.run = []
    if (connection !== this.#owner && !this.#waiting.includes(connection)) this.#waiting.push(connection)
  }

  /** Serves runs until the owner of the turn has nothing more to say. */
  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    for (;;) {
      if (!this.#owner) this.#closeOrphans()
      this.#owner ??= this.#waiting.shift()
      const run = this.#owner?.runs.shift()
      if (!this.#owner || run === undefined) break
      this.#serve(this.#owner, run)
    }
    this.#pumping = false
    this.#guard()
  }

  #serve(connection: Connection, run: Uint8Array): void {
    this.#endGuard()
    const reader = new ResponseReader((bytes) => this.#gather.add(bytes, connection.socket))
    this.#backend.exec(run, (piece) => reader.take(piece))
    this.#gather.flush(connection.socket)
    this.#state = reader.state
    this.#notify(reader.notifications)
    if (this.#state === 'I') this.#endTurn(connection)
  }

  #endTurn(connection: Connection): void {
    this.#owner = undefined
    this.#state = 'I'
    if (connection.runs.length > 0) this.#waiting.push(connection)
  }

  #notify(notifications: readonly Uint8Array[]): void {
    for (const notification of notifications) {
      const channel = channelOf(notification)
      for (const { listening, socket } of this.#connections) {
        if (listening.has(channel) && socket.writable) socket.write(notification)
      }
    }
  }

  /** While others wait for an owner that says nothing, its time runs; more who come to wait do not lengthen it. */
  #guard(): void {
    const owner = this.#owner
    if (!owner || this.#waiting.length === 0 || this.#cancelGuard) return
    this.#cancelGuard = this.#options.clock.after(this.#options.idleTransactionMs, () => {
      this.#cut(owner, '25P03', 'A transaction was left open without a word while others waited, and was rolled back.')
    })
  }

  #cut(connection: Connection, sqlState: string, text: string): void {
    if (connection.socket.writable) connection.socket.end(fatalError(sqlState, text))
    this.#forget(connection)
  }

  #forget(connection: Connection): void {
    if (connection.closed) return
    connection.closed = true
    this.#connections.delete(connection)
    connection.runs.length = 0
    const place = this.#waiting.indexOf(connection)
    if (place !== -1) this.#waiting.splice(place, 1)
    if (this.#owner === connection) {
      this.#endGuard()
      if (this.#state === undefined) this.#backend.exec(syncMessage, unheard)
      this.#backend.exec(queryMessage('ROLLBACK'), unheard)
      this.#endTurn(connection)
    }
    this.#orphans.push(...connection.statements)
    this.#pump()
  }

  #endGuard(): void {
    this.#cancelGuard?.()
    this.#cancelGuard = undefined
  }

  #closeOrphans(): void {
    if (this.#orphans.length > 0) this.#backend.exec(closeStatements(this.#orphans), unheard)
    this.#orphans = []
  }
}

/** For answers that nobody waits for. */
function unheard(): void {}

function followListen(listening: Set<string>, message: ClientMessage): void {
  if (message.type !== 'Q' && message.type !== 'P') return
  if (message.bytes.length > 200) return
  const match = /^\s*(un)?listen\s+("?)([^"\s;]+)\2/i.exec(sqlOf(message) ?? '')
  const [, un, quote, name = ''] = match ?? []
  if (!match) return
  const channel = quote === '' ? name.toLowerCase() : name
  if (un === undefined) listening.add(channel)
  else if (channel === '*') listening.clear()
  else listening.delete(channel)
}
