import type pg from 'pg'
import { rawRows, type RawRow } from '../db/row-codec.ts'
import { queryRaw, type TakeRow } from '../db/row-packer.ts'
import type { SqlQuery, SqlStatement } from '../scope/sql-query.ts'
import type { WalPlace } from '../capture/change-source.ts'
import type { Moment } from './feed.ts'

/** One REPEATABLE READ transaction: everything read through it is of one moment. */
export interface Snapshot {
  readonly query: SqlQuery
  /** Rows as `toRow` wants them. */
  readonly raw: (statement: SqlStatement) => Promise<readonly RawRow[]>
  /** Runs a statement over a `binarySelectList`. */
  readonly each: (statement: SqlStatement, take: TakeRow) => Promise<void>
  readonly epoch: string
  readonly pruned: number
  readonly head: number
  /** Server time, milliseconds since 1970. */
  readonly at: number
  /** As Postgres writes it: xmin:xmax:xip,… */
  readonly text: string
  readonly moment: Moment
  readonly place: WalPlace
  /** How changes are captured, by what the database says. */
  readonly capture: 'trigger' | 'wal'
}

interface StateRow {
  readonly epoch: string
  readonly pruned: string
  readonly head: string
  readonly at: number
  readonly snapshot: string
  readonly flushed: string
  readonly inserted: string
  readonly run: string
  readonly capture: 'trigger' | 'wal'
}

/**
 * Runs `read` in a snapshot, on a connection of its own. Opening takes one round trip, in which the position is read
 * too. A statement that takes longer than the deadline is cancelled, so that a heavy read cannot hold the snapshot
 * (and, embedded, the whole database).
 */
export async function inSnapshot<T>(
  pool: pg.Pool,
  deadlineMs: number,
  read: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  try {
    const state = await open(client, deadlineMs)
    return await read({
      query: (statement) => client.query(toConfig(statement)).then(({ rows }) => rows),
      raw: (statement) =>
        client.query<RawRow[]>({ ...toConfig(statement), ...rawRows }).then(({ rows }) => rows as unknown as RawRow[]),
      each: (statement, take) => queryRaw(client, toConfig(statement), take),
      epoch: state.epoch,
      pruned: Number(state.pruned),
      head: Number(state.head),
      at: state.at,
      text: state.snapshot,
      moment: momentOf(state.snapshot),
      place: { flushed: Number(state.flushed), inserted: Number(state.inserted), run: state.run },
      capture: state.capture,
    })
  } finally {
    // Nobody has to wait for the end: nothing was written. A connection that cannot end its transaction is thrown away.
    client.query('rollback').then(
      () => client.release(),
      () => client.release(true),
    )
  }
}

/**
 * How many transactions had ended when a snapshot xmin:xmax:xip was taken: all below xmax but those in xip. One that
 * ends raises the number, and nothing lowers it, so on one server it orders snapshots exactly as they were taken.
 */
export function momentOf(snapshot: string): Moment {
  const [, xmax = '', xip = ''] = snapshot.split(':')
  return Number(xmax) - (xip === '' ? 0 : xip.split(',').length)
}

async function open(client: pg.PoolClient, deadlineMs: number): Promise<StateRow> {
  const text = `begin isolation level repeatable read read only; set local statement_timeout = ${deadlineMs}; select * from sync.feed_state()`
  // Several statements in one text give several results, which pg's types do not know.
  const results = (await client.query(text)) as unknown as readonly pg.QueryResult<StateRow>[]
  const state = results.at(-1)?.rows[0]
  if (!state) throw new Error('sync_heads is empty: run `select sync.ensure_epoch()`, as the server does at its start.')
  return state
}

function toConfig({ text, values, name }: SqlStatement): pg.QueryConfig {
  return { text, ...(values ? { values: [...values] } : {}), ...(name === undefined ? {} : { name }) }
}
