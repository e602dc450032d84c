import type { Clock } from '../../../lib/clock.ts'
import { Position } from './position.ts'

/**
 * A position in the WAL of one run of Postgres, the one that runs now. Of another run nothing is compared: it begins
 * again.
 */
export class Places {
  readonly #clock: Clock
  #run = ''
  #position: Position

  constructor(clock: Clock) {
    this.#clock = clock
    this.#position = new Position(clock)
  }

  get run(): string {
    return this.#run
  }

  get value(): number {
    return this.#position.value
  }

  /** True: it is another run than before. Whoever waits for a place of that one waits in vain. */
  enter(run: string): boolean {
    if (run === this.#run) return false
    this.#run = run
    this.#position = new Position(this.#clock)
    return true
  }

  /** What is told of another run is not heard. */
  pass(value: number, run: string): void {
    if (run === this.#run) this.#position.pass(value)
  }

  /** Whether the position reaches `target` within `ms` milliseconds. */
  reaches(target: number, ms: number): Promise<boolean> {
    return this.#position.reaches(target, ms)
  }
}
