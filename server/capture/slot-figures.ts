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
  /**
   * The transaction that has been open for longest of those that wrote, in whichever database: the slot keeps all WAL
   * since it began. Absent: there is none.
   */
  readonly oldest?: { readonly by: string; readonly seconds: number } | undefined
}

const nameSql = 'select current_database() as name'
const slotSql = `
select s.active, s.wal_status as state, (pg_current_wal_lsn() - s.restart_lsn)::float8 as "retainedBytes",
  (pg_current_wal_lsn() - '0/0')::float8 as written,
  greatest((s.confirmed_flush_lsn - '0/0')::float8, coalesce((select c.last_seq::float8 from sync_capture c where c.slot_name = s.slot_name), 0)) as captured,
  (
    select jsonb_build_object('by', o.by || case when o.place <> current_database() then ' of database ' || o.place else '' end, 'seconds', extract(epoch from clock_timestamp() - o.since)) from (
      select 'process ' || pid as by, xact_start as since, datname as place from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()
      union all select 'prepared transaction ' || gid, prepared, database from pg_prepared_xacts
    ) o order by o.since limit 1
  ) as oldest,
  (select nullif(setting, '-1')::float8 * 1024 * 1024 from pg_settings where name = 'max_slot_wal_keep_size') as "keepBytes"
from pg_replication_slots s where s.slot_name = $1`

/** Reads how the slot of this database stands; needs no right that a server with `CAPTURE=wal` lacks. */
export async function readSlotFigures(pool: Pick<pg.Pool, 'query'>): Promise<SlotFigures> {
  const [database] = (await pool.query<{ name: string }>(nameSql)).rows
  const { slot: name } = captureNames(database?.name ?? '')
  const [found] = (
    await pool.query<Omit<SlotFigures, 'name' | 'oldest'> & { readonly oldest: SlotFigures['oldest'] | null }>({
      name: 'slot_figures',
      text: slotSql,
      values: [name],
    })
  ).rows
  return found
    ? { name, ...found, retainedBytes: found.retainedBytes ?? 0, oldest: found.oldest ?? undefined }
    : { name, active: false, state: null, retainedBytes: 0, keepBytes: null, written: 0, captured: 0 }
}
