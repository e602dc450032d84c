import type { Seq } from '../../protocol/seq.ts'
import type { Mark } from './feed.ts'

/** One line of `sync_changes`. */
export interface LogEntry {
  readonly seq: Seq
  readonly organizationId: string | null
  readonly channel: string
  readonly oldChannel: string | null
  readonly table: string
  readonly rowId: string | null
  readonly op: 'upsert' | 'delete' | 'reset' | 'mark'
  readonly mutationId: string | null
  readonly deviceId: string | null
}

/** What the log says of one row between two positions. The row itself is read afterwards, once. */
export interface FoldedKey {
  readonly table: string
  readonly id: string
  /** The last commit that touched it. */
  readonly seq: Seq
  readonly organizationId: string | null
  /** Every channel it was seen in or left, in the order of the log; the last one is where the last entry saw it. */
  readonly channels: readonly string[]
  /** It was deleted at least once. */
  readonly deleted: boolean
  /**
   * The last entry deleted it. Entries of places that nobody follows may not have been read: should the row be there
   * now, it was made again in one of these.
   */
  readonly gone: boolean
}

interface OpenKey {
  seq: Seq
  readonly table: string
  readonly id: string
  organizationId: string | null
  channels: string[]
  deleted: boolean
  gone: boolean
}

/** Channels of this form carry no rows: they say that sign-ins or tokens of a principal changed. */
const credentialPrefix = 'access/'

/**
 * Folds log entries to one per row: fold(a ++ b) = fold(a) then b, so the log can be read in chunks of any size.
 * Entries come in log order.
 */
export class Fold {
  readonly #keys = new Map<string, OpenKey>()
  readonly #marks = new Map<string, Mark>()
  readonly #resets = new Set<string>()
  readonly #credentials = new Set<string>()
  #canary = false

  add(entry: LogEntry): void {
    this.mark(entry)
    if (entry.op === 'mark') {
      this.#canary ||= entry.mutationId === null
    } else if (entry.op === 'reset') {
      this.#reset(entry.table)
    } else if (entry.channel.startsWith(credentialPrefix)) {
      this.#credentials.add(entry.channel.slice(credentialPrefix.length))
    } else if (entry.rowId !== null) {
      this.#touch(entry, entry.rowId)
    }
  }

  /** Remembers whose write a commit holds, if it was somebody's. */
  mark({ mutationId, deviceId }: Pick<LogEntry, 'mutationId' | 'deviceId'>): void {
    if (mutationId !== null && deviceId !== null) this.#marks.set(mutationId, { deviceId, mutationId })
  }

  /** Number of rows touched. */
  get size(): number {
    return this.#keys.size
  }

  get canary(): boolean {
    return this.#canary
  }

  get marks(): readonly Mark[] {
    return [...this.#marks.values()]
  }

  get resets(): readonly string[] {
    return [...this.#resets]
  }

  get credentials(): readonly string[] {
    return [...this.#credentials]
  }

  /** Ordered by `seq`. */
  keys(): readonly FoldedKey[] {
    return [...this.#keys.values()].toSorted((a, b) => a.seq - b.seq)
  }

  /** What happened to the table's rows before does not count any more. */
  #reset(table: string): void {
    this.#resets.add(table)
    for (const [name, key] of this.#keys) if (key.table === table) this.#keys.delete(name)
  }

  #touch(entry: LogEntry, id: string): void {
    const name = `${entry.table}/${id}`
    const key = this.#keys.get(name) ?? this.#open(name, entry, id)
    key.seq = entry.seq
    key.organizationId = entry.organizationId
    key.gone = entry.op === 'delete'
    key.deleted ||= key.gone
    if (entry.oldChannel !== null) see(key, entry.oldChannel)
    see(key, entry.channel)
  }

  #open(name: string, entry: LogEntry, id: string): OpenKey {
    const key: OpenKey = {
      seq: entry.seq,
      table: entry.table,
      id,
      organizationId: entry.organizationId,
      channels: [],
      deleted: false,
      gone: false,
    }
    this.#keys.set(name, key)
    return key
  }
}

/** Channels stay in the order of the last sight of each. */
function see(key: OpenKey, channel: string): void {
  if (key.channels.at(-1) === channel) return
  key.channels = [...key.channels.filter((seen) => seen !== channel), channel]
}
