import type pg from 'pg'
import { captureNames } from './wal/capture-names.ts'

/** How capture from the WAL stands. Positions are bytes of WAL since its beginning. */
export interface SlotFigures {
  readonly name: string
  readonly active: boolean
  /** `pg_replication_slots.wal_status`; null: there is no slot. */
  readonly state: string | null
  readonly retainedBytes: number
  /** `max_slot_wal_keep_size`; null: unlimited. */
  readonly keepBytes: number | null
  readonly written: number
  /** Everything before is in the change log. */
  readonly captured: number
}

const nameSql = 'select current_database() as name'
const slotSql = `
select s.active, s.wal_status as state, (pg_current_wal_lsn() - s.restart_lsn)::float8 as "retainedBytes",
  (pg_current_wal_lsn() - '0/0')::float8 as written,
  greatest((s.confirmed_flush_lsn - '0/0')::float8, coalesce((select c.last_seq::float8 from sync_capture c where c.slot_name = s.slot_name), 0)) as captured,
  (select nullif(setting, '-1')::float8 * 1024 * 1024 from pg_settings where name = 'max_slot_wal_keep_size') as "keepBytes"
from pg_replication_slots s where s.slot_name = $1`

/** Reads how the slot of this database stands; needs no right that a server with `CAPTURE=wal` lacks. */
export async function readSlotFigures(pool: Pick<pg.Pool, 'query'>): Promise<SlotFigures> {
  const [database] = (await pool.query<{ name: string }>(nameSql)).rows
  const { slot: name } = captureNames(database?.name ?? '')
  const [found] = (await pool.query<Omit<SlotFigures, 'name'>>({ name: 'slot_figures', text: slotSql, values: [name] }))
    .rows
  return found
    ? { name, ...found, retainedBytes: found.retainedBytes ?? 0 }
    : { name, active: false, state: null, retainedBytes: 0, keepBytes: null, written: 0, captured: 0 }
}
