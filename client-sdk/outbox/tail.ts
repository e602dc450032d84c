import type { SyncedEntry } from '../store/store.ts'

/** How many ended writes are kept, and how long. Whatever bound is reached first counts. */
export interface TailLimits {
  readonly writes: number
  /** Of JSON text, in characters. */
  readonly bytes: number
  readonly ms: number
}

export const defaultTail: TailLimits = { writes: 10_000, bytes: 8_000_000, ms: 48 * 3_600_000 }

interface TailEntry {
  readonly entry: SyncedEntry
  readonly bytes: number
}

/**
 * The writes of this replica that ended last, in the order in which the server took them. The server has confirmed and
 * shown them; they are kept because a server that is restored from a backup has them no more. A mirror of what the
 * store holds, changed only after the store has committed.
 */
export class Tail {
  readonly #limits: TailLimits
  readonly #byId = new Map<string, TailEntry>()
  #bytes = 0
  #lastPosition = 0

  constructor(limits: TailLimits) {
    this.#limits = limits
  }

  get isOn(): boolean {
    return this.#limits.writes > 0
  }

  /** The greatest that any of them had, those included that have gone: every step asks, however many are kept. */
  get lastPosition(): number {
    return this.#lastPosition
  }

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  /** Those that the server took after this counter, in that order. */
  after(clientSeq: number): readonly SyncedEntry[] {
    return [...this.#byId.values()]
      .map(({ entry }) => entry)
      .filter(({ mutation }) => mutation.clientSeq > clientSeq)
      .toSorted((a, b) => a.mutation.clientSeq - b.mutation.clientSeq)
  }

  get ids(): readonly string[] {
    return [...this.#byId.keys()]
  }

  /**
   * The ids that must go when these come, the oldest first. A group goes whole: half of one must never be sent again.
   * Looks at the oldest only, so that the usual answer costs nothing.
   */
  overdue(coming: readonly SyncedEntry[], now: number): readonly string[] {
    let writes = this.#byId.size + coming.length
    const arriving = coming.map((entry) => ({ entry, bytes: bytesOf(entry) }))
    let bytes = arriving.reduce((sum, { bytes: size }) => sum + size, this.#bytes)
    const gone: string[] = []
    let group: string | undefined
    for (const { entry, bytes: size } of chain(this.#byId.values(), arriving)) {
      const { id, group: own } = entry.mutation
      const { writes: most, bytes: mostBytes, ms } = this.#limits
      const isOver = writes > most || bytes > mostBytes || entry.endedAt < now - ms
      if (!isOver && (own === undefined || own !== group)) break
      group = own
      writes -= 1
      bytes -= size
      gone.push(id)
    }
    return gone
  }

  put(entry: SyncedEntry): void {
    this.delete(entry.mutation.id)
    const bytes = bytesOf(entry)
    this.#byId.set(entry.mutation.id, { entry, bytes })
    this.#bytes += bytes
    this.#lastPosition = Math.max(this.#lastPosition, entry.position)
  }

  delete(id: string): void {
    this.#bytes -= this.#byId.get(id)?.bytes ?? 0
    this.#byId.delete(id)
  }
}

function* chain<T>(first: Iterable<T>, second: Iterable<T>): Iterable<T> {
  yield* first
  yield* second
}

function bytesOf({ mutation }: SyncedEntry): number {
  return JSON.stringify(mutation).length
}
