import type { Clock } from '../../../lib/clock.ts'
import { zeroSeq, type Seq } from '../../../protocol/seq.ts'
import type { LogNews } from '../change-source.ts'
import { formatHint, parseHint, type LogHint } from './log-hint.ts'
import { Places } from './places.ts'

export interface LogProgressOptions {
  readonly clock: Clock
  readonly news: LogNews | undefined
  /** Whether this server writes the log now: then it tells the others, and listens to nobody. */
  readonly isWriter: () => boolean
}

/** The log at one moment. `upto`: everything that was committed before this place in the WAL of a run is in it. */
export interface LogState {
  readonly head: Seq
  readonly upto: number
  readonly run: string
}

/**
 * The writer tells news at most once in this time, and at every beat; when they are silent for longer than that they
 * are not waited for.
 */
const newsMs = 1
const silentNewsMs = 3000

/**
 * How far the log is, as far as this server knows: by writing it, by looking at it, or by what its writer tells.
 * Whoever listens is told of each newer position, and the other servers when this one writes.
 */
export class LogProgress {
  readonly #clock: Clock
  readonly #news: LogNews | undefined
  readonly #isWriter: () => boolean
  /** Everything that was committed before these places in the WAL is in the log. */
  readonly #captured: Places
  #listener: ((newest?: Seq) => void) | undefined
  #newest = zeroSeq
  #isTelling = false
  #heardAt = Number.NEGATIVE_INFINITY
  #stopHearing: () => void = () => undefined

  constructor({ clock, news, isWriter }: LogProgressOptions) {
    this.#clock = clock
    this.#news = news
    this.#isWriter = isWriter
    this.#captured = new Places(clock)
  }

  /** In bytes, in the present run of Postgres. */
  get place(): number {
    return this.#captured.value
  }

  /** Whether the places reach `target` within `ms` milliseconds. */
  reaches(target: number, ms: number): Promise<boolean> {
    return this.#captured.reaches(target, ms)
  }

  /** Whether another server tells how far it has written, so that nobody needs to ask. */
  get isTold(): boolean {
    return this.#clock.monotonic() - this.#heardAt < silentNewsMs
  }

  start(listener: (newest?: Seq) => void): void {
    this.#listener = listener
    if (this.#news) this.#stopHearing = this.#news.hear((text) => this.#hearServer(text))
  }

  stop(): void {
    this.#listener = undefined
    this.#stopHearing()
  }

  /** There may be something new to read. */
  wake(newest?: Seq): void {
    this.#listener?.(newest)
  }

  /**
   * Which run of Postgres this is: what was known of the one before says nothing, for it may have begun with a backup.
   */
  enter(run: string): void {
    if (!this.#captured.enter(run)) return
    this.#newest = zeroSeq
    this.wake()
  }

  /** The log is complete up to a place. What is said of another run is not heard. */
  pass(place: number, run: string): void {
    this.#captured.pass(place, run)
    this.#tell()
  }

  /** Commits up to this one are in the log. */
  logged(newest: Seq): void {
    if (newest <= this.#newest) return
    this.#newest = newest
    this.#tell()
    this.wake(newest)
  }

  /** What a look at the log has found. */
  saw({ head, upto, run }: LogState): void {
    this.enter(run)
    this.pass(upto, run)
    this.logged(head)
  }

  /** Whoever logs in to the database can NOTIFY: what it says is a reason to look, and no position is believed. */
  hear(text: string): LogHint | undefined {
    const hint = parseHint(text)
    if (hint && hint.head > this.#newest) this.wake()
    return hint
  }

  /** From another server over Redis, where nobody but servers may write. */
  #hearServer(text: string): void {
    this.#heardAt = this.#clock.monotonic()
    if (this.#isWriter()) return
    const hint = this.hear(text)
    if (hint) this.pass(hint.upto, hint.run)
  }

  #tell(): void {
    if (!this.#news || this.#isTelling || !this.#isWriter()) return
    this.#isTelling = true
    this.#clock.after(newsMs, () => {
      this.#isTelling = false
      const { value: upto, run } = this.#captured
      if (this.#isWriter()) this.#news?.tell(formatHint({ head: this.#newest, upto, run }))
    })
  }
}
