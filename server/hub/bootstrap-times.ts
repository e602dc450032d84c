import type { Clock } from '../../lib/clock.ts'

/** When each subscription of a session that is fetching its first rows was made. Holds nothing while there is none. */
export class BootstrapTimes {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #tell: (ms: number | null) => void
  #began: Map<string, number> | undefined

  /** `tell` hears how long each took; null: given up. */
  constructor(clock: Pick<Clock, 'monotonic'>, tell: (ms: number | null) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  get size(): number {
    return this.#began?.size ?? 0
  }

  begin(id: string): void {
    this.#began ??= new Map()
    this.#began.set(id, this.#clock.monotonic())
  }

  end(id: string, complete: boolean): void {
    const began = this.#began?.get(id)
    if (began === undefined) return
    this.#began?.delete(id)
    if (this.size === 0) this.#began = undefined
    this.#tell(complete ? this.#clock.monotonic() - began : null)
  }

  abandon(): void {
    for (const id of [...(this.#began?.keys() ?? [])]) this.end(id, false)
  }
}
