import type { ReplicaChange } from '../replica/replica-change.ts'

/** More changed rows than this are not noted one by one: the whole table is told again. */
const mostChanged = 10_000

interface TableProgress {
  /** Rows with an id up to this one were told; `null`: all. */
  upTo: string | null
  changed: Set<string>
  /** Nobody can name the rows that changed. */
  isVoid: boolean
}

/**
 * How far an export is, and which of the rows that it told have changed since. Rows that are still to come are not
 * noted. Ids are lower-case UUIDs, so plain order is the order in which tables are read.
 */
export class ToldRows {
  readonly #tables = new Map<string, TableProgress>()

  /** A table is read from its beginning. */
  begin(table: string): void {
    this.#tables.set(table, { upTo: '', changed: new Set(), isVoid: false })
  }

  /** Rows up to this id were told; `null`: the table is read to its end. */
  advance(table: string, upTo: string | null): void {
    const progress = this.#tables.get(table)
    if (progress !== undefined) progress.upTo = upTo
  }

  take({ tables, states }: ReplicaChange): void {
    for (const [table, change] of tables) {
      if (change.all) this.#void(table)
      else this.#note(table, [...change.upserts.map((row) => String(row['id'])), ...change.deletes])
    }
    for (const [table, ids] of states) this.#note(table, ids)
  }

  /** A table that must be told again from its beginning. */
  voided(): string | undefined {
    return [...this.#tables].find(([, { isVoid }]) => isVoid)?.[0]
  }

  /** Up to `most` rows of one table that changed after they were told; they count as told again from now on. */
  takeChanged(most: number): { readonly table: string; readonly ids: readonly string[] } | undefined {
    const [table, progress] = [...this.#tables].find(([, { changed }]) => changed.size > 0) ?? []
    if (table === undefined || progress === undefined) return undefined
    const ids = [...progress.changed].slice(0, most)
    for (const id of ids) progress.changed.delete(id)
    return { table, ids }
  }

  #note(table: string, ids: Iterable<string>): void {
    const progress = this.#tables.get(table)
    if (progress === undefined || progress.isVoid) return
    for (const id of ids) if (progress.upTo === null || id <= progress.upTo) progress.changed.add(id)
    if (progress.changed.size > mostChanged) this.#void(table)
  }

  #void(table: string): void {
    const progress = this.#tables.get(table)
    if (progress === undefined) return
    progress.isVoid = true
    progress.changed.clear()
  }
}
