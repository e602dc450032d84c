import { toSeq, type Seq } from '../../protocol/seq.ts'
import type { Homes } from '../scope/homes.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import {
  bigCommitsTable,
  logChunk,
  mayConcern,
  readBigCommit,
  readBigKeys,
  type BigPart,
  type Wanted,
  toEntry,
  type EntryColumns,
} from './big-commits.ts'
import { Fold } from './fold.ts'
import type { SnapshotEnd } from './recent-log.ts'

const formerSql = `
select f.epoch, f.ended_at::text as ended from sync.former_epochs f join sync_heads h on h.epoch = f.heir`

/** The epochs that the present one goes on from, and where each ended. */
export async function formerEpochs(query: SqlQuery): Promise<ReadonlyMap<string, Seq>> {
  const rows = await query<{ epoch: string; ended: string }>({ name: 'former_epochs', text: formerSql })
  return new Map(rows.map(({ epoch, ended }) => [epoch, toSeq(ended)]))
}

/**
 * Where the run of Postgres before this one ended in the log; zero: nothing is known of it. Every snapshot sees the
 * commits up to there, for none of that run goes on.
 */
export async function endOfFormer(query: SqlQuery): Promise<Seq> {
  return toSeq(Math.max(0, ...(await formerEpochs(query)).values()))
}

/**
 * A commit that was told in an epoch, as the WAL has it. `at`: seconds since 1970; the log has it to the millisecond.
 */
export interface ToldCommit {
  readonly epoch: string
  readonly seq: Seq
  /** The lower half of its transaction's id. */
  readonly xid: number
  readonly at: number
}

const continueSql = `
update sync.former_epochs f set ended_at = $2 from sync_heads h
where f.epoch = $1 and f.heir = h.epoch and f.ended_at < $2 and exists (
  select from sync_changes where seq = $2 and xid::text::bigint & 4294967295 = $3 and occurred_at = to_timestamp($4)::timestamptz(3))
returning 1 as proven`

/**
 * Postgres ended after a commit was told and before it was in the log: then its epoch was taken to end before it. A log
 * that holds just this commit, by its position, transaction and time, has all of that epoch up to it. False: it does
 * not hold it.
 */
export async function continueFormer(log: SqlQuery, { epoch, seq, xid, at }: ToldCommit): Promise<boolean> {
  return (await log({ text: continueSql, values: [epoch, seq, xid, at] })).length > 0
}

/**
 * Entries after a position, of some organizations ($3, null: all) and of none, in chunks, and up to where the log is
 * pruned at that moment: one row without an entry when there are none. By primary key (seq, ordinal): cost follows what
 * was changed, not the length of the log.
 */
const entriesSql = `
select h.pruned_through_seq::text as pruned, e.*
from sync_heads h left join lateral (
  select seq::text, ordinal, organization_id::text as organization, channel, old_channel, table_name, row_id::text as row_id, op,
    mutation_id::text as mutation, origin_device_id::text as device
  from sync_changes
  where (seq, ordinal) > ($1::bigint, $2::integer) and ($3::uuid[] is null or organization_id is null or organization_id = any($3::uuid[]))
  order by sync_changes.seq, sync_changes.ordinal limit ${logChunk}
) e on true
where h.id = 1`

/** How many rows were touched in ($1, $2], without bringing their keys here. */
const touchedSql = `
select count(*)::float8 as rows from (
  select distinct table_name, row_id from sync_changes
  where seq > $1::bigint and seq <= $2::bigint and row_id is not null
    and ($3::uuid[] is null or organization_id is null or organization_id = any($3::uuid[]))
) touched`

const prunedSql = `select pruned_through_seq::text as pruned from sync_heads where id = 1`

/**
 * When the log was written after the commits: the last one before the first that the snapshot ($1) does not see, the
 * last of all, and the last that the snapshot sees.
 */
const visibleHeadSql = `
with hidden as materialized (
  select coalesce(min(seq), 9223372036854775807) as seq from sync_changes
  where seq > $2::bigint and not pg_visible_in_snapshot(xid, $1::pg_snapshot)
)
select (select coalesce(max(c.seq), 0)::text from sync_changes c where c.seq > $2::bigint and c.seq < hidden.seq) as head,
  (select coalesce(max(seq), 0)::text from sync_changes) as logged,
  (select max(c.seq)::text from sync_changes c where c.seq > hidden.seq and pg_visible_in_snapshot(c.xid, $1::pg_snapshot)) as ahead,
  (select epoch from sync_heads where id = 1) as epoch
from hidden`

const canarySql = `
select (extract(epoch from occurred_at) * 1000)::float8 as at from sync_changes
where channel = 'canary' and seq <= $1::bigint order by seq desc limit 1`

/** When the last sign of life up to a position was committed, milliseconds since 1970 by the database's clock. */
export async function canaryTime(log: SqlQuery, to: Seq): Promise<number | undefined> {
  const [row] = await log<{ at: number }>({ name: 'log_canary', text: canarySql, values: [to] })
  return row?.at
}

interface EntryRow extends EntryColumns {
  readonly pruned: string
  readonly seq: string | null
  readonly ordinal: number
}

/**
 * Where a snapshot ends in the log, when the log is written after the commits. `pending`: the log has more, which will
 * soon be visible.
 */
export async function visibleHead(
  snapshot: string,
  log: SqlQuery,
  from: Seq,
): Promise<SnapshotEnd & { readonly epoch: string }> {
  const [end] = await log<{ head: string; logged: string; ahead: string | null; epoch: string }>({
    name: 'log_visible_head',
    text: visibleHeadSql,
    values: [snapshot, from],
  })
  const to = toSeq(Math.max(from, Number(end?.head ?? 0)))
  return { to, pending: Number(end?.logged ?? 0) > to, sees: toSeq(end?.ahead ?? to), epoch: end?.epoch ?? '' }
}

/** What is asked of the log. */
export interface FoldOptions extends Wanted {
  readonly from: Seq
  readonly to: Seq
  /** More rows than that are not read. */
  readonly maxKeys: number
  readonly homes: Pick<Homes, 'kindOf' | 'grantedBy'>
}

/**
 * Folds the entries in (from, to]. Undefined: more than `maxKeys` rows were touched, or the log was pruned meanwhile.
 * Of a log that is longer than a chunk the rows are counted first, so that memory follows what can be sent, and a
 * replica that was away for long is told soon.
 */
export async function foldLog(log: SqlQuery, options: FoldOptions): Promise<Fold | undefined> {
  const { from, to, maxKeys } = options
  const fold = new Fold()
  const organizations = options.organizations && [...options.organizations]
  let big = false
  let [seq, ordinal] = [String(from), 2_147_483_647]
  for (let chunks = 0; ; chunks++) {
    if (chunks === 1 && (await touched(log, from, to, organizations)) > maxKeys) return undefined
    const rows = await log<EntryRow>({ name: 'log_entries', text: entriesSql, values: [seq, ordinal, organizations] })
    // What is pruned is gone for this query, though the snapshot of the rows is older.
    if (Number(rows[0]?.pruned ?? 0) > from) return undefined
    for (const row of rows) {
      if (row.seq === null || Number(row.seq) > to) continue
      if (row.table_name !== bigCommitsTable) fold.add(toEntry(toSeq(row.seq), row))
      else if (!(await addBigCommit(log, toSeq(row.seq), fold, options))) return undefined
      else big = true
    }
    if (fold.size > maxKeys) return undefined
    const last = rows.at(-1)
    if (!last || last.seq === null || rows.length < logChunk || Number(last.seq) > to) break
    ;[seq, ordinal] = [last.seq, last.ordinal]
  }
  return big && (await prunedThrough(log)) > from ? undefined : fold
}

async function touched(log: SqlQuery, from: Seq, to: Seq, organizations: readonly string[] | null): Promise<number> {
  const [row] = await log<{ rows: number }>({
    name: 'log_touched',
    text: touchedSql,
    values: [from, to, organizations],
  })
  return row?.rows ?? 0
}

async function prunedThrough(log: SqlQuery): Promise<number> {
  const [row] = await log<{ pruned: string }>({ name: 'log_pruned', text: prunedSql })
  return Number(row?.pruned ?? 0)
}

/**
 * Adds what may concern somebody; of the rest only whose writes they were. False: that is too much, or the commit is
 * pruned.
 */
async function addBigCommit(log: SqlQuery, seq: Seq, fold: Fold, options: FoldOptions): Promise<boolean> {
  const commit = await readBigCommit(log, seq)
  if (!commit) return false
  const organizations = options.organizations && [...options.organizations]
  const wanted: BigPart[] = []
  for (const part of commit.parts ?? []) {
    if (mayConcern(part, options, options.homes)) wanted.push(part)
    else fold.mark(part)
  }
  const keys = commit.parts ? wanted.reduce((sum, part) => sum + part.keys, 0) : commit.keys
  if (keys === 0) return true
  if (fold.size + keys > options.maxKeys) return false
  for await (const entry of readBigKeys(log, commit, organizations, commit.parts && wanted)) fold.add(entry)
  return true
}
