import type pg from 'pg'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../telemetry/telemetry.ts'
import { captureNames } from './capture-names.ts'

export interface SlotWatchOptions {
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly log: Log
}

/** Of the slot's reader. */
interface Reader {
  /** The process of Postgres that sends to it; null: nobody reads. */
  readonly pid: number | null
  /** Its last sign of life; null: none. */
  readonly heartbeat: string | null
}

/** A reader that has given no other sign of life for so long is taken for hung. Milliseconds. */
const silentMs = 2500

const readerSql = `
select s.active_pid as pid, extract(epoch from c.heartbeat_at)::text as heartbeat
from pg_replication_slots s left join sync_capture c using (slot_name) where s.slot_name = $1`

/** Locked by a writer in the middle of a long transaction: not silent, busy. */
const idleSql = `
select from sync_capture where slot_name = $1 and extract(epoch from heartbeat_at)::text = $2 for update skip locked`

/** What the writer has confirmed is in the log, durably (`log-stream.ts`). */
const confirmedSql = `
select (confirmed_flush_lsn - '0/0')::text as place, sync.postgres_run() as run from pg_replication_slots where slot_name = $1`

/**
 * What a server that follows the log looks at: whether the slot has lost its reader. One that ended, however it ended,
 * has left the slot to Postgres at once. One that hangs (stopped, or cut off without a word) still holds it: when its
 * heartbeat has been the same for a while, by this server's monotonic clock, and no transaction of its own is under
 * way, its connection is ended. Should it wake up, its term is over and it writes nothing (`sync.hold_capture`).
 */
export class SlotWatch {
  readonly #pool: pg.Pool
  readonly #clock: Clock
  readonly #log: Log
  #seen: (Reader & { readonly since: number }) | undefined
  #name: string | undefined

  constructor({ pool, clock, log }: SlotWatchOptions) {
    this.#pool = pool
    this.#clock = clock
    this.#log = log
  }

  async mayBeTaken(): Promise<boolean> {
    const name = (this.#name ??= await this.#slotName())
    const { rows } = await this.#pool.query<Reader>({ name: 'slot_reader', text: readerSql, values: [name] })
    const [reader] = rows
    if (!reader || reader.pid === null) return true
    const now = this.#clock.monotonic()
    if (this.#seen?.pid !== reader.pid || this.#seen.heartbeat !== reader.heartbeat)
      this.#seen = { ...reader, since: now }
    if (now - this.#seen.since < silentMs) return false
    this.#seen = undefined
    const values = [name, reader.heartbeat]
    const { rowCount } = await this.#pool.query({ name: 'slot_idle', text: idleSql, values })
    if (!rowCount) return false
    this.#log.error('The writer of the change log does not answer; taking its place', { slot: name })
    await this.#pool.query('select pg_terminate_backend($1, 1000)', [reader.pid])
    return true
  }

  /**
   * Up to which place in the WAL the log is complete, in which run of Postgres. Costs no commit. Undefined: there is no
   * slot.
   */
  async confirmed(): Promise<{ readonly place: number; readonly run: string } | undefined> {
    const name = (this.#name ??= await this.#slotName())
    const { rows } = await this.#pool.query<{ place: string; run: string }>({
      name: 'slot_confirmed',
      text: confirmedSql,
      values: [name],
    })
    const [found] = rows
    return found && { place: Number(found.place), run: found.run }
  }

  async #slotName(): Promise<string> {
    const { rows } = await this.#pool.query<{ name: string }>('select current_database() as name')
    return captureNames(rows[0]?.name ?? '').slot
  }
}
