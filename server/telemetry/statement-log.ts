import type { Clock } from '../../lib/clock.ts'
import { fingerprint, type Fingerprint } from './fingerprint.ts'

/** Hears of every statement that a pool has run. */
export interface StatementObserver {
  ran(statement: string, ms: number, rows: number, failed: boolean): void
}

/** Statements of one fingerprint in one minute; as a row of `query_statistics`. */
export interface StatementFigures {
  /** ISO time of the minute. */
  readonly bucket: string
  readonly fingerprint: string
  readonly sample: string
  readonly calls: number
  readonly errors: number
  readonly slow: number
  readonly totalMs: number
  readonly maxMs: number
  readonly rows: number
  /** Calls by the upper bound of their time in milliseconds, `inf` above all. */
  readonly histogram: Readonly<Record<string, number>>
}

type Counted = { -readonly [K in keyof StatementFigures]: StatementFigures[K] } & { histogram: Record<string, number> }

const bounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] as const
const minuteMs = 60_000
/** What is beyond counts as one statement. */
const mostFigures = 500
const mostTexts = 1000
const others: Fingerprint = { id: 'others', sample: '(statements beyond the number that is kept apart)' }

/**
 * Counts statements by fingerprint and minute until they are taken. Bounded in memory: so many fingerprints at a time,
 * and so many texts whose fingerprint is remembered, since a server says the same few hundred all day.
 */
export class StatementLog implements StatementObserver {
  readonly #clock: Pick<Clock, 'now'>
  readonly #slowMs: number
  readonly #fingerprints = new Map<string, Fingerprint>()
  #figures = new Map<string, Counted>()

  constructor(clock: Pick<Clock, 'now'>, slowMs: number) {
    this.#clock = clock
    this.#slowMs = slowMs
  }

  ran(statement: string, ms: number, rows: number, failed: boolean): void {
    const figures = this.#figuresOf(this.#fingerprintOf(statement))
    figures.calls += 1
    if (failed) figures.errors += 1
    if (ms >= this.#slowMs) figures.slow += 1
    figures.totalMs += ms
    if (ms > figures.maxMs) figures.maxMs = ms
    figures.rows += rows
    const bound = bounds.find((most) => ms <= most) ?? 'inf'
    figures.histogram[bound] = (figures.histogram[bound] ?? 0) + 1
  }

  /** What was counted since the last time. */
  take(): readonly StatementFigures[] {
    const taken = [...this.#figures.values()]
    this.#figures = new Map()
    return taken
  }

  #fingerprintOf(statement: string): Fingerprint {
    const known = this.#fingerprints.get(statement)
    if (known) return known
    const fresh = fingerprint(statement)
    const [oldest] = this.#fingerprints.keys()
    if (this.#fingerprints.size >= mostTexts && oldest !== undefined) this.#fingerprints.delete(oldest)
    this.#fingerprints.set(statement, fresh)
    return fresh
  }

  #figuresOf({ id, sample }: Fingerprint): Counted {
    const minute = Math.floor(this.#clock.now() / minuteMs) * minuteMs
    const key = `${minute} ${id}`
    const known = this.#figures.get(key)
    if (known) return known
    if (this.#figures.size >= mostFigures && id !== others.id) return this.#figuresOf(others)
    const fresh: Counted = {
      bucket: new Date(minute).toISOString(),
      fingerprint: id,
      sample,
      calls: 0,
      errors: 0,
      slow: 0,
      totalMs: 0,
      maxMs: 0,
      rows: 0,
      histogram: {},
    }
    this.#figures.set(key, fresh)
    return fresh
  }
}
