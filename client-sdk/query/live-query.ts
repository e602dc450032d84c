import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { ReplicaChange } from '../replica/replica-change.ts'
import { ResultSet, type ResultRules } from './result-set.ts'

/** What differs from the rows of the call before. */
export interface ResultChange<R> {
  readonly added: readonly R[]
  readonly updated: readonly R[]
  readonly removed: readonly string[]
}

/** What a live query needs of the replica, handed in by the client. */
export interface LiveSource {
  /** Runs the query between two steps of the replica and hands over its rows before the next step begins. */
  read(use: (rows: readonly Row[]) => void): Promise<void>
  onChange(listener: (change: ReplicaChange) => void): () => void
}

export interface LiveQueryOptions<R> {
  /** SQL name. */
  readonly table: string
  readonly rules: ResultRules
  readonly source: LiveSource
  /**
   * Makes the row that users see. Given what it made of this row before, it returns the same object if nothing differs.
   */
  readonly present: (row: Row, before: R | undefined) => R
  readonly notify: (rows: readonly R[], change: ResultChange<R>) => void
  readonly failed: (error: unknown) => void
}

/**
 * Keeps one query's rows current. What changed in one turn is told in one call, in a microtask of its own; a row
 * outside the result costs one match and nothing else; the store is read again only where the change cannot tell
 * (windows that lose rows, bootstraps). A read that fails is told, and tried again at the next change of the replica.
 */
export class LiveQuery<R> {
  readonly #options: LiveQueryOptions<R>
  readonly #results: ResultSet
  /** What was told last, by id. */
  #told: ReadonlyMap<string, R> | null = null
  #isLoaded = false
  #isReading = false
  #isDue = false
  #unsubscribe: (() => void) | null = null

  constructor(options: LiveQueryOptions<R>) {
    this.#options = options
    this.#results = new ResultSet(options.rules)
  }

  start(): void {
    this.#unsubscribe = this.#options.source.onChange((change) => this.#take(change))
    this.#read()
  }

  stop(): void {
    this.#unsubscribe?.()
    this.#unsubscribe = null
  }

  #take(change: ReplicaChange): void {
    // A read that waits for its turn will see this change.
    if (this.#isReading) return
    // The last read has failed: what the rows are now, only another can tell.
    if (!this.#isLoaded) return this.#read()
    const step = change.tables.get(this.#options.table)
    const result = step === undefined ? 'unchanged' : this.#results.apply(step)
    if (result === 'requery') return this.#read()
    const isRestated = [...(change.states.get(this.#options.table) ?? [])].some((id) => this.#results.has(id))
    if (result === 'changed' || isRestated) this.#tellSoon()
  }

  #read(): void {
    this.#isReading = true
    this.#isLoaded = false
    this.#options.source
      .read((rows) => {
        this.#isReading = false
        this.#isLoaded = true
        this.#results.reset(rows)
        this.#tellSoon()
      })
      .catch((error: unknown) => {
        this.#isReading = false
        if (this.#unsubscribe !== null) this.#options.failed(error)
      })
  }

  #tellSoon(): void {
    if (this.#isDue) return
    this.#isDue = true
    queueMicrotask(() => {
      this.#isDue = false
      if (this.#unsubscribe !== null) this.#tell()
    })
  }

  #tell(): void {
    const told = this.#told ?? new Map<string, R>()
    const views = new Map<string, R>()
    for (const row of this.#results.rows) views.set(rowId(row), this.#options.present(row, told.get(rowId(row))))
    const change = {
      added: [...views].flatMap(([id, view]) => (told.has(id) ? [] : [view])),
      updated: [...views].flatMap(([id, view]) => (told.has(id) && told.get(id) !== view ? [view] : [])),
      removed: [...told.keys()].filter((id) => !views.has(id)),
    }
    const isFirst = this.#told === null
    this.#told = views
    const size = change.added.length + change.updated.length + change.removed.length
    if (isFirst || size > 0) this.#options.notify([...views.values()], change)
  }
}
