import type pg from 'pg'
import type { Log } from '../../telemetry/telemetry.ts'
import { captureNames } from './capture-names.ts'

interface SlotState {
  readonly slot: string
  /** The process of Postgres that sends to the reader; null: nobody reads. */
  readonly pid: number | null
  /** Since the last sign of life of the reader; null: none. */
  readonly silence: number | null
}

/** A reader that has not said anything for so long is looked at again, and then is taken for hung. */
const [suspectSeconds, silentSeconds] = [1.5, 2.5]

const stateSql = `
select s.slot_name as slot, s.active_pid as pid,
  extract(epoch from clock_timestamp() - c.heartbeat_at)::float8 as silence
from pg_replication_slots s left join sync_capture c using (slot_name) where s.slot_name = $1`

/** Locked by a writer in the middle of a long transaction: not silent, busy. */
const idleSql = `
select from sync_capture where slot_name = $1 and heartbeat_at < clock_timestamp() - ${silentSeconds} * interval '1 second'
for update skip locked`

/** What the writer has confirmed is in the log, durably (`log-stream.ts`). */
const confirmedSql = `
select (confirmed_flush_lsn - '0/0')::text as place, sync.postgres_run() as run from pg_replication_slots where slot_name = $1`

/**
 * What a server that follows the log looks at: whether the slot has lost its reader. One that ended, however it ended,
 * has left the slot to Postgres at once. One that hangs (stopped, or cut off without a word) still holds it: when its heartbeat is
 * old, is old still at the next look with the same connection, and no transaction of its own is under way, that connection is ended.
 * Should it wake up, its term is over and it writes nothing (`sync.hold_capture`).
 */
export class SlotWatch {
  readonly #pool: pg.Pool
  readonly #log: Log
  #suspect: number | undefined
  #name: string | undefined

  constructor(pool: pg.Pool, log: Log) {
    this.#pool = pool
    this.#log = log
  }

  async mayBeTaken(): Promise<boolean> {
    const name = (this.#name ??= await this.#slotName())
    const { rows } = await this.#pool.query<SlotState>({ name: 'slot_state', text: stateSql, values: [name] })
    const [state] = rows
    if (!state || state.pid === null) return true
    const silence = state.silence ?? Number.POSITIVE_INFINITY
    const wasSuspect = this.#suspect === state.pid
    this.#suspect = silence > suspectSeconds ? state.pid : undefined
    if (!wasSuspect || silence <= silentSeconds) return false
    this.#suspect = undefined
    const { rowCount } = await this.#pool.query({ name: 'slot_idle', text: idleSql, values: [name] })
    if (!rowCount) return false
    this.#log.error('The writer of the change log does not answer; taking its place', { slot: name })
    await this.#pool.query('select pg_terminate_backend($1, 1000)', [state.pid])
    return true
  }

  /** Up to which place in the WAL the log is complete, in which run of Postgres. Costs no commit. Undefined: there is no slot. */
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
