import type pg from 'pg'
import type { CancelTimer, Clock } from '../../../lib/clock.ts'
import { TideError } from '../../../protocol/error.ts'
import { toSeq, type Seq } from '../../../protocol/seq.ts'
import type { SqlQuery } from '../../scope/sql-query.ts'
import type { WalPlace } from '../change-source.ts'
import { messagePrefix } from './commit-assembler.ts'
import type { LogProgress, LogState } from './log-progress.ts'
import type { SlotWatch } from './slot-watch.ts'

export interface LogReachOptions {
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly slot: Pick<SlotWatch, 'confirmed'>
  readonly progress: LogProgress
  /** Whether this server writes the log now. */
  readonly isWriter: () => boolean
}

/**
 * How long a commit that is visible may take to be logged before a reader gives up, to try again with a new snapshot.
 */
export const settleMs = 10_000
/** How often the log is looked at without a reason: notifications may be lost with their connection. */
const lookMs = 1000
/**
 * How long to wait for others to flush the WAL before a commit of our own does: longer than the log's writer gathers
 * commits.
 */
const flushMs = 15
/**
 * How long positions that come by themselves are waited for: of what is flushed already, and of a marker that another
 * server logs.
 */
const [flushedMs, followMs] = [50, 20]
/**
 * How often, and in which steps of time, a server without news asks what the writer has confirmed, before it commits a
 * marker.
 */
const [confirmedAsks, confirmedMs] = [8, 4]

const placeSql = `select (pg_current_wal_flush_lsn() - '0/0')::text as flushed, (pg_current_wal_insert_lsn() - '0/0')::text as inserted,
  sync.postgres_run() as run`
const markerSql = `select (pg_logical_emit_message(true, $1, '') - '0/0')::text as place`
const logStateSql = `
select coalesce((select max(seq) from sync_changes), 0)::text as head, coalesce((select max(last_seq) from sync_capture), 0)::text as upto,
  sync.postgres_run() as run`

/**
 * Waits until the log, which is written after the commits by this server or another one, has come as far as a reader
 * needs it.
 */
export class LogReach {
  readonly #pool: pg.Pool
  readonly #clock: Clock
  readonly #slot: Pick<SlotWatch, 'confirmed'>
  readonly #progress: LogProgress
  readonly #isWriter: () => boolean
  #marking: Promise<void> | undefined
  #isStopped = false
  #cancelLook: CancelTimer = () => undefined

  constructor({ pool, clock, slot, progress, isWriter }: LogReachOptions) {
    this.#pool = pool
    this.#clock = clock
    this.#slot = slot
    this.#progress = progress
    this.#isWriter = isWriter
  }

  /** Reads the log, outside of any snapshot. */
  readonly query: SqlQuery = async <R extends object>({ text, values, name }: Parameters<SqlQuery>[0]) => {
    const config = { text, values: [...(values ?? [])], ...(name === undefined ? {} : { name }) }
    return (await this.#pool.query<R>(config)).rows
  }

  /** Looks at the log now and then, while another server writes it. */
  start(): void {
    this.#cancelLook = this.#clock.after(lookMs, () => {
      void (this.#isWriter() ? Promise.resolve() : this.#look().catch(() => undefined)).then(() => {
        if (!this.#isStopped) this.start()
      })
    })
  }

  stop(): void {
    this.#isStopped = true
    this.#cancelLook()
  }

  /** The newest position in the log, once that holds all that is committed now. */
  async head(): Promise<Seq> {
    const [place] = await this.query<{ flushed: string; inserted: string; run: string }>({
      name: 'wal_place',
      text: placeSql,
    })
    await this.reach({
      flushed: Number(place?.flushed),
      inserted: Number(place?.inserted),
      run: place?.run ?? '',
    })
    return (await this.#state()).head
  }

  /** Until everything is in the log that was committed before a place. Throws `timeout`. */
  async reach({ flushed, inserted, run }: WalPlace): Promise<void> {
    const deadline = this.#clock.monotonic() + settleMs
    const progress = this.#progress
    progress.enter(run)
    if (progress.place >= inserted) return
    // Positions come by themselves, also to those who follow as long as news come: no load for the database.
    const comes = this.#isWriter() || progress.isTold
    if (comes && (await progress.reaches(inserted, inserted > flushed ? flushMs : flushedMs))) return
    if (!this.#isWriter() && (await this.#isConfirmed(inserted))) return
    while (this.#clock.monotonic() < deadline && !this.#isStopped) {
      await this.#mark()
      // Followers hear of it by notification; should that be late, they look.
      if (await progress.reaches(inserted, this.#isWriter() ? flushedMs : followMs)) return
      if (!this.#isWriter()) await this.#look()
    }
    throw new TideError(
      'timeout',
      `The change log is behind: it has not reached WAL position ${inserted} in ${settleMs / 1000} s.`,
    )
  }

  /** The log as others wrote it. */
  async #look(): Promise<void> {
    this.#progress.saw(await this.#state())
  }

  async #state(): Promise<LogState> {
    const [row] = await this.query<{ head: string; upto: string; run: string }>({
      name: 'log_state',
      text: logStateSql,
    })
    return { head: toSeq(row?.head ?? 0), upto: Number(row?.upto ?? 0), run: row?.run ?? '' }
  }

  /** Asks the slot a few times: the writer says there how far it is, a moment after each commit. */
  async #isConfirmed(inserted: number): Promise<boolean> {
    for (let asked = 0; asked < confirmedAsks && !this.#isStopped; asked++) {
      const confirmed = await this.#slot.confirmed()
      if (confirmed) this.#progress.pass(confirmed.place, confirmed.run)
      if (await this.#progress.reaches(inserted, confirmedMs)) return true
    }
    return false
  }

  /**
   * Commits something of our own, so that all before it is flushed, and followers hear how far the log is. Who asks
   * meanwhile shares it.
   */
  async #mark(): Promise<void> {
    const prefix = this.#isWriter() ? messagePrefix.flush : messagePrefix.tell
    this.#marking ??= this.#pool.query(markerSql, [prefix]).then(
      () => {
        this.#marking = undefined
      },
      (error: unknown) => {
        this.#marking = undefined
        throw error
      },
    )
    await this.#marking
  }
}
