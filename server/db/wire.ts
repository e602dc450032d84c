/**
 * The parts of Postgres' wire protocol (version 3) that the embedded server must understand to let many connections
 * share one backend: where messages end, which statement names they use, whether a transaction is open. Everything
 * else passes through unread. Pure: bytes in, bytes out.
 */

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A message of the client, whole, with its type as a character. */
export interface ClientMessage {
  readonly type: string
  readonly bytes: Uint8Array
}

/** Transaction state in ReadyForQuery: idle, in a transaction, in a failed transaction. */
export type TransactionState = 'I' | 'T' | 'E'

const sslRequest = 80_877_103
const gssRequest = 80_877_104
const cancelRequest = 80_877_102
const maxMessageBytes = 256 * 1024 * 1024

/**
 * Takes whole messages off the front of `buffer`. Until `started`, messages have no type byte: they come out as
 * `startup`, `ssl` (also for GSS: the answer is the same `N`) or `cancel`. Throws when the length is absurd.
 */
export function splitMessages(
  buffer: Uint8Array,
  started: boolean,
): { messages: readonly ClientMessage[]; rest: Uint8Array } {
  const messages: ClientMessage[] = []
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  let offset = 0
  let typed = started
  while (offset < buffer.length) {
    const head = typed ? 1 : 0
    if (buffer.length - offset < head + 4) break
    const length = view.getInt32(offset + head) + head
    if (length < head + 4 || length > maxMessageBytes) throw new RangeError(`A wire message has length ${length}.`)
    if (buffer.length - offset < length) break
    const bytes = buffer.subarray(offset, offset + length)
    const type = typed ? String.fromCharCode(bytes[0] ?? 0) : startupType(bytes)
    messages.push({ type, bytes })
    if (type === 'startup') typed = true
    offset += length
  }
  return { messages, rest: buffer.subarray(offset) }
}

function startupType(bytes: Uint8Array): string {
  const code = bytes.length >= 8 ? new DataView(bytes.buffer, bytes.byteOffset).getInt32(4) : 0
  if (code === sslRequest || code === gssRequest) return 'ssl'
  return code === cancelRequest ? 'cancel' : 'startup'
}

/** The SQL of a simple query or of a Parse message, else nothing. */
export function sqlOf(message: ClientMessage): string | undefined {
  if (message.type === 'Q') return decoder.decode(message.bytes.subarray(5, message.bytes.length - 1))
  if (message.type !== 'P') return undefined
  const start = zeroAfter(message.bytes, 5) + 1
  return decoder.decode(message.bytes.subarray(start, zeroAfter(message.bytes, start)))
}

/**
 * Gives a named prepared statement a name of its own connection: all connections share one backend, and with it the
 * names. Returns the message to send, and the name that was prepared or closed by it.
 */
export function ownStatement(message: ClientMessage, prefix: string): { bytes: Uint8Array; prepared?: string } {
  const start = nameOffset(message)
  if (start === undefined) return { bytes: message.bytes }
  const end = zeroAfter(message.bytes, start)
  if (end === start) return { bytes: message.bytes } // the unnamed statement: never used across two turns
  const name = prefix + decoder.decode(message.bytes.subarray(start, end))
  const bytes = new Uint8Array(message.bytes.length + encoder.encode(prefix).length)
  bytes.set(message.bytes.subarray(0, start))
  bytes.set(encoder.encode(prefix), start)
  bytes.set(message.bytes.subarray(start), start + encoder.encode(prefix).length)
  new DataView(bytes.buffer).setInt32(1, bytes.length - 1)
  return message.type === 'P' ? { bytes, prepared: name } : { bytes }
}

/** Where the statement's name stands in Parse, Bind, Describe and Close; nothing for other messages and for portals. */
function nameOffset({ type, bytes }: ClientMessage): number | undefined {
  if (type === 'P') return 5
  if (type === 'B') return zeroAfter(bytes, 5) + 1
  if (type === 'D' || type === 'C') return bytes[5] === 0x53 ? 6 : undefined
  return undefined
}

function zeroAfter(bytes: Uint8Array, from: number): number {
  const at = bytes.indexOf(0, from)
  return at === -1 ? bytes.length : at
}

const notificationType = 0x41
const readyType = 0x5a
/** Type and length of a message. */
const headBytes = 5

/**
 * Reads an answer of the backend while it comes, in pieces that may end within a message: passes everything on but the
 * notifications, which it keeps, and notes the transaction state.
 */
export class ResponseReader {
  readonly #pass: (bytes: Uint8Array) => void
  readonly #head = new Uint8Array(headBytes)
  readonly #headView = new DataView(this.#head.buffer)
  #headLength = 0
  /** Bytes of the present message that have not come yet. */
  #left = 0
  /** The pieces of a notification that is not complete yet. */
  #kept: Uint8Array[] = []
  /** As of the last ReadyForQuery; undefined: there was none. */
  state: TransactionState | undefined
  readonly notifications: Uint8Array[] = []

  /** What `pass` is given is valid during its call only. */
  constructor(pass: (bytes: Uint8Array) => void) {
    this.#pass = pass
  }

  take(bytes: Uint8Array): void {
    let passFrom = 0
    let at = 0
    while (at < bytes.length) {
      // A notification begins: what came before it goes on.
      if (this.#headLength === 0 && bytes[at] === notificationType && passFrom < at)
        this.#pass(bytes.subarray(passFrom, at))
      const from = at
      at = this.#readHead(bytes, at)
      const end = Math.min(bytes.length, at + this.#left)
      if (this.#head[0] === readyType && at < end) this.state = String.fromCharCode(bytes[at] ?? 0) as TransactionState
      this.#left -= end - at
      at = end
      if (this.#head[0] === notificationType) {
        this.#kept.push(bytes.slice(from, at))
        passFrom = at
      }
      if (this.#headLength === headBytes && this.#left === 0) this.#endMessage()
    }
    if (passFrom < at) this.#pass(passFrom === 0 ? bytes : bytes.subarray(passFrom))
  }

  /** Returns where the body of the message goes on. */
  #readHead(bytes: Uint8Array, from: number): number {
    let at = from
    while (this.#headLength < headBytes && at < bytes.length) {
      this.#head[this.#headLength++] = bytes[at++] ?? 0
      if (this.#headLength === headBytes) this.#left = this.#headView.getInt32(1) - 4
    }
    return at
  }

  #endMessage(): void {
    this.#headLength = 0
    if (this.#kept.length === 0) return
    this.notifications.push(concat(this.#kept))
    this.#kept = []
  }
}

/** The channel of a NotificationResponse. */
export function channelOf(notification: Uint8Array): string {
  return decoder.decode(notification.subarray(9, zeroAfter(notification, 9)))
}

/** The answer to a start-up message: no password, the parameters, a key nobody uses, ready. */
export function startupReply(parameters: Readonly<Record<string, string>>, processId: number): Uint8Array {
  const key = new Uint8Array(8)
  new DataView(key.buffer).setInt32(0, processId)
  return concat([
    message('R', new Uint8Array(4)),
    ...Object.entries(parameters).map(([name, value]) => message('S', encoder.encode(`${name}\0${value}\0`))),
    message('K', key),
    message('Z', encoder.encode('I')),
  ])
}

/** A fatal ErrorResponse: the connection is closed after it. */
export function fatalError(sqlState: string, text: string): Uint8Array {
  return message('E', encoder.encode(`SFATAL\0VFATAL\0C${sqlState}\0M${text}\0\0`))
}

/** A simple query. */
export function queryMessage(sql: string): Uint8Array {
  return message('Q', encoder.encode(`${sql}\0`))
}

/** Closes prepared statements and ends the batch. */
export function closeStatements(names: Iterable<string>): Uint8Array {
  return concat([
    ...[...names].map((name) => message('C', encoder.encode(`S${name}\0`))),
    message('S', new Uint8Array(0)),
  ])
}

export const syncMessage: Uint8Array = message('S', new Uint8Array(0))

function message(type: string, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + body.length)
  bytes[0] = type.charCodeAt(0)
  new DataView(bytes.buffer).setInt32(1, 4 + body.length)
  bytes.set(body, 5)
  return bytes
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts
  if (parts.length === 1 && first) return first
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes
}
