import { toSeq, type Seq } from '../../protocol/seq.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import { Fold, type LogEntry } from './fold.ts'

/** Head, epoch, time and the place of the snapshot in one row; the first statement of a snapshot, taken before the WAL's positions are read. */
export const stateSql = `
select h.epoch, h.pruned_through_seq::text as pruned, (select coalesce(max(c.seq), 0)::text from sync_changes c) as head,
  (extract(epoch from clock_timestamp()) * 1000)::float8 as at, pg_current_snapshot()::text as snapshot,
  (pg_current_wal_flush_lsn() - '0/0')::text as flushed, (pg_current_wal_insert_lsn() - '0/0')::text as inserted,
  sync.postgres_run() as run, (select capture from sync.settings) as capture
from sync_heads h where h.id = 1`

const formerSql = `
select f.epoch, f.ended_at::text as ended from sync.former_epochs f join sync_heads h on h.epoch = f.heir`

/** The epochs that the present one goes on from, and where each ended. */
export async function formerEpochs(query: SqlQuery): Promise<ReadonlyMap<string, Seq>> {
  const rows = await query<{ epoch: string; ended: string }>({ name: 'former_epochs', text: formerSql })
  return new Map(rows.map(({ epoch, ended }) => [epoch, toSeq(ended)]))
}

/**
 * Entries after a position, of some organizations ($3, null: all) and of none, in chunks. By primary key (seq, ordinal): cost follows what
 * was changed, not the length of the log.
 */
const entriesSql = `
select seq::text, ordinal, organization_id::text as organization, channel, old_channel, table_name, row_id::text as row_id, op,
  mutation_id::text as mutation, origin_device_id::text as device
from sync_changes
where (seq, ordinal) > ($1::bigint, $2::integer) and ($3::uuid[] is null or organization_id is null or organization_id = any($3::uuid[]))
order by seq, ordinal limit ${String(20_000)}`

/** When the log was written after the commits: the last one before the first that the snapshot ($1) does not see, and the last of all. */
const visibleHeadSql = `
select coalesce(max(seq), 0)::text as head, (select coalesce(max(seq), 0)::text from sync_changes) as logged,
  (select epoch from sync_heads where id = 1) as epoch
from sync_changes
where seq > $2::bigint and seq < coalesce(
  (select min(seq) from sync_changes where seq > $2::bigint and not pg_visible_in_snapshot(xid, $1::pg_snapshot)), 9223372036854775807)`

const canarySql = `
select (extract(epoch from occurred_at) * 1000)::float8 as at from sync_changes
where channel = 'canary' and seq <= $1::bigint order by seq desc limit 1`

/** When the last sign of life up to a position was committed, milliseconds since 1970 by the database's clock. */
export async function canaryTime(log: SqlQuery, to: Seq): Promise<number | undefined> {
  const [row] = await log<{ at: number }>({ name: 'log_canary', text: canarySql, values: [to] })
  return row?.at
}

interface EntryRow {
  readonly seq: string
  readonly ordinal: number
  readonly organization: string | null
  readonly channel: string
  readonly old_channel: string | null
  readonly table_name: string
  readonly row_id: string | null
  readonly op: LogEntry['op']
  readonly mutation: string | null
  readonly device: string | null
}

/** Where a snapshot ends in the log, when the log is written after the commits. `pending`: the log has more, which will soon be visible. */
export async function visibleHead(
  snapshot: string,
  log: SqlQuery,
  from: Seq,
): Promise<{ readonly to: Seq; readonly pending: boolean; readonly epoch: string }> {
  const [end] = await log<{ head: string; logged: string; epoch: string }>({
    name: 'log_visible_head',
    text: visibleHeadSql,
    values: [snapshot, from],
  })
  const to = toSeq(Math.max(from, Number(end?.head ?? 0)))
  return { to, pending: Number(end?.logged ?? 0) > to, epoch: end?.epoch ?? '' }
}

/** Folds the entries in (from, to]. Undefined: more than `maxKeys` rows were touched. */
export async function foldLog(
  log: SqlQuery,
  range: { readonly from: Seq; readonly to: Seq },
  organizations: ReadonlySet<string> | null,
  maxKeys: number,
): Promise<Fold | undefined> {
  const fold = new Fold()
  const wanted = organizations && [...organizations]
  let [seq, ordinal] = [String(range.from), 2_147_483_647]
  for (;;) {
    const rows = await log<EntryRow>({ name: 'log_entries', text: entriesSql, values: [seq, ordinal, wanted] })
    for (const row of rows) if (Number(row.seq) <= range.to) fold.add(toEntry(row))
    if (fold.size > maxKeys) return undefined
    const last = rows.at(-1)
    if (!last || rows.length < 20_000 || Number(last.seq) > range.to) return fold
    ;[seq, ordinal] = [last.seq, last.ordinal]
  }
}

function toEntry(row: EntryRow): LogEntry {
  return {
    seq: toSeq(row.seq),
    organizationId: row.organization,
    channel: row.channel,
    oldChannel: row.old_channel,
    table: row.table_name,
    rowId: row.row_id,
    op: row.op,
    mutationId: row.mutation,
    deviceId: row.device,
  }
}
