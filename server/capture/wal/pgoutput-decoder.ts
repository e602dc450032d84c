import { readUuid } from '../../../protocol/rows/uuid-bytes.ts'

/**
 * The binary messages of Postgres' output plugin `pgoutput`, protocol version 2 (streaming of open transactions), as
 * objects. Pure but for what the protocol itself remembers: the relations it has described, and whether a block of an
 * open transaction is being sent, in which every message carries the id of its subtransaction.
 *
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 */
export type PgoutputMessage =
  | { readonly kind: 'begin'; readonly xid: number }
  | { readonly kind: 'commit'; readonly lsn: number; readonly end: number; readonly at: number }
  | { readonly kind: 'stream_start'; readonly xid: number }
  | { readonly kind: 'stream_stop' }
  | {
      readonly kind: 'stream_commit'
      readonly xid: number
      readonly lsn: number
      readonly end: number
      readonly at: number
    }
  | { readonly kind: 'stream_abort'; readonly xid: number; readonly subxid: number }
  | ({ readonly kind: 'row'; readonly op: 'insert' | 'update' | 'delete'; readonly subxid: number | null } & RowChange)
  | { readonly kind: 'truncate'; readonly subxid: number | null; readonly tables: readonly string[] }
  | {
      readonly kind: 'message'
      readonly subxid: number | null
      readonly transactional: boolean
      readonly prefix: string
      readonly content: string
    }
  | { readonly kind: 'other' }

/**
 * Values by column; a column that was not sent is absent. `old` is there when the replica identity changed, and for
 * deletes.
 */
export interface RowChange {
  readonly table: string
  readonly row: Tuple | null
  readonly old: Tuple | null
}

/** The published columns as far as they were sent. */
export interface Tuple {
  readonly id?: string
  readonly channel?: string
  readonly organization_id?: string
  readonly version?: number
}

interface Relation {
  readonly table: string
  readonly columns: readonly string[]
}

const other: PgoutputMessage = { kind: 'other' }

export class PgoutputDecoder {
  readonly #relations = new Map<number, Relation>()
  #streaming = false

  /** Decodes one message. The bytes are not kept. Throws on a message or relation that is not known. */
  decode(bytes: Buffer): PgoutputMessage {
    const reader = new Reader(bytes)
    const tag = String.fromCharCode(reader.byte())
    switch (tag) {
      case 'B': {
        reader.skip(16)
        return { kind: 'begin', xid: reader.int() }
      }
      case 'C':
        reader.skip(1)
        return { kind: 'commit', lsn: reader.lsn(), end: reader.lsn(), at: reader.time() }
      case 'S':
        this.#streaming = true
        return { kind: 'stream_start', xid: reader.int() }
      case 'E':
        this.#streaming = false
        return { kind: 'stream_stop' }
      case 'c': {
        const xid = reader.int()
        reader.skip(1)
        return { kind: 'stream_commit', xid, lsn: reader.lsn(), end: reader.lsn(), at: reader.time() }
      }
      case 'A':
        return { kind: 'stream_abort', xid: reader.int(), subxid: reader.int() }
      case 'R':
        this.#subxid(reader)
        this.#describe(reader)
        return other
      case 'I':
      case 'U':
      case 'D':
        return this.#row(tag, reader)
      case 'T':
        return this.#truncate(reader)
      case 'M': {
        const subxid = this.#subxid(reader)
        const transactional = (reader.byte() & 1) === 1
        reader.skip(8)
        return { kind: 'message', subxid, transactional, prefix: reader.text(), content: reader.sized() }
      }
      case 'O':
      case 'Y':
        return other
      default:
        throw new Error(`pgoutput sent a message of unknown kind ${JSON.stringify(tag)}.`)
    }
  }

  #subxid(reader: Reader): number | null {
    return this.#streaming ? reader.int() : null
  }

  #describe(reader: Reader): void {
    const id = reader.int()
    reader.text()
    const table = reader.text()
    reader.skip(1)
    const columns = Array.from({ length: reader.short() }, () => {
      reader.skip(1)
      const name = reader.text()
      reader.skip(8)
      return name
    })
    this.#relations.set(id, { table, columns })
  }

  #relation(id: number): Relation {
    const relation = this.#relations.get(id)
    if (!relation) throw new Error(`pgoutput sent a change of relation ${id} before it described it.`)
    return relation
  }

  #row(tag: 'I' | 'U' | 'D', reader: Reader): PgoutputMessage {
    const subxid = this.#subxid(reader)
    const { table, columns } = this.#relation(reader.int())
    let [row, old]: [Tuple | null, Tuple | null] = [null, null]
    while (!reader.done) {
      const part = String.fromCharCode(reader.byte())
      const tuple = readTuple(reader, columns)
      if (part === 'N') row = tuple
      else old = tuple
    }
    return { kind: 'row', op: tag === 'I' ? 'insert' : tag === 'U' ? 'update' : 'delete', subxid, table, row, old }
  }

  #truncate(reader: Reader): PgoutputMessage {
    const subxid = this.#subxid(reader)
    const count = reader.int()
    reader.skip(1)
    return {
      kind: 'truncate',
      subxid,
      tables: Array.from({ length: count }, () => this.#relation(reader.int()).table),
    }
  }
}

function readTuple(reader: Reader, columns: readonly string[]): Tuple {
  const tuple: { id?: string; channel?: string; organization_id?: string; version?: number } = {}
  const count = reader.short()
  for (let index = 0; index < count; index++) {
    const format = String.fromCharCode(reader.byte())
    // n: null, or not part of an old key. u: unchanged and stored elsewhere, which a key is not.
    if (format === 'n' || format === 'u') continue
    const size = reader.int()
    const name = columns[index]
    if (name === 'id' || name === 'organization_id') tuple[name] = format === 'b' ? reader.uuid() : reader.chars(size)
    else if (name === 'channel') tuple.channel = reader.chars(size)
    else if (name === 'version') tuple.version = format === 'b' ? reader.int() : Number(reader.chars(size))
    else reader.skip(size)
  }
  return tuple
}

/** Microseconds from 1970 to 2000, where Postgres' time begins. */
const postgresEpoch = 946_684_800_000_000

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  skip(count: number): void {
    this.#at += count
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#at++)
  }

  short(): number {
    this.#at += 2
    return this.#bytes.readUInt16BE(this.#at - 2)
  }

  int(): number {
    this.#at += 4
    return this.#bytes.readUInt32BE(this.#at - 4)
  }

  /** A position in the WAL, in bytes: below 2^53 for 9 PB of it. */
  lsn(): number {
    return this.int() * 2 ** 32 + this.int()
  }

  /** Seconds since 1970. */
  time(): number {
    this.#at += 8
    return (Number(this.#bytes.readBigInt64BE(this.#at - 8)) + postgresEpoch) / 1e6
  }

  text(): string {
    const end = this.#bytes.indexOf(0, this.#at)
    const text = this.#bytes.toString('utf8', this.#at, end)
    this.#at = end + 1
    return text
  }

  sized(): string {
    return this.chars(this.int())
  }

  chars(size: number): string {
    this.#at += size
    return this.#bytes.toString('utf8', this.#at - size, this.#at)
  }

  uuid(): string {
    this.#at += 16
    return readUuid(this.#bytes, this.#at - 16)
  }
}
