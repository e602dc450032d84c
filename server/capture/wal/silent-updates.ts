import type { CapturedKey } from './captured-commit.ts'

/**
 * Silent updates (a heartbeat, a counter) do not raise a row's version, but the WAL has them, and cannot say what the
 * version was before. So the last versions seen are remembered, of as many rows as fit: an update that comes with the
 * same version again changed nothing that anyone follows. A row that is not remembered is logged, which does no harm:
 * rows that are touched all the time are remembered.
 */
export class SilentUpdates {
  readonly #versions = new Map<string, number>()
  readonly #capacity: number

  constructor(capacity = 20_000) {
    this.#capacity = capacity
  }

  /** The keys of a commit without those of silent updates. Commits come in order. */
  without(keys: readonly CapturedKey[]): readonly CapturedKey[] {
    return keys.filter((key) => !this.#isSilent(key))
  }

  /**
   * A commit went by whose keys are not known here: any row may be another one, with the version that was remembered.
   */
  forget(): void {
    this.#versions.clear()
  }

  #isSilent({ op, table, rowId, version, born, oldChannel }: CapturedKey): boolean {
    const place = `${table} ${rowId ?? ''}`
    if (op === 'reset') this.forget()
    const known = this.#versions.get(place)
    this.#versions.delete(place)
    if (op !== 'upsert' || version === null) return false
    this.#versions.set(place, version)
    if (this.#versions.size > this.#capacity) {
      const oldest = this.#versions.keys().next()
      if (!oldest.done) this.#versions.delete(oldest.value)
    }
    return known === version && !born && oldChannel === null
  }
}
