import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { alone } from './alone.ts'
import { recordEffect } from './runs.ts'

/**
 * What is kept of the change log: entries younger than `keepMs`, and never more than `keepRows`; nor more than as many
 * keys of big commits.
 */
export interface LogRetention {
  readonly keepMs: number
  readonly keepRows: number
}

/** However long the policy keeps them, unless it deletes nothing (`keep`, a legal hold). */
export const mostLogRows = 2_000_000

const chunkRows = 20_000

const horizonSql = `
select greatest(
  (select seq from sync_changes where occurred_at < now() - $1 * interval '1 millisecond' order by seq desc limit 1),
  (select seq from sync_changes order by seq desc, ordinal desc offset $2 limit 1),
  (select max(seq) from (select seq, sum(keys) over (order by seq desc) as keys_since from sync.big_commits) big where keys_since > $2)
) as seq`

const entriesSql = `
delete from sync_changes where (seq, ordinal) in (select seq, ordinal from sync_changes where seq <= $1 order by seq, ordinal limit $2)`
const keysSql = `
delete from sync.spilled_changes where ctid in (
  select k.ctid from sync.big_commits b join sync.spilled_changes k on (k.term, k.xid) = (b.term, b.xid) where b.seq <= $1 limit $2)`
/** They prove the way alive, and nobody asks for old ones; with them a log of nothing would be full in four months. */
const canariesSql = `
delete from sync_changes where (seq, ordinal) in (
  select seq, ordinal from sync_changes where channel = 'canary' and occurred_at < now() - interval '1 day' order by seq limit ${chunkRows})`
const countSql = `
select (select count(*) from sync_changes where seq <= $1) + (select count(*) from sync.big_commits b join sync.spilled_changes k on (k.term, k.xid) = (b.term, b.xid) where b.seq <= $1) as n`

/**
 * What the shipped policy `sync_changes` says; undefined: nothing may go. The log is one for all organizations, so none
 * has a policy of its own.
 */
export async function readLogRetention(db: Pick<pg.Pool, 'query'>): Promise<LogRetention | undefined> {
  const { rows } = await db.query<{ ms: number }>(
    `select extract(epoch from keep_for)::float8 * 1000 as ms from retention_policies
     where name = 'sync_changes' and organization_id is null and is_enabled and not legal_hold and action <> 'keep' and keep_for is not null`,
  )
  return rows[0] && { keepMs: rows[0].ms, keepRows: mostLogRows }
}

async function horizonOf(pool: pg.Pool, { keepMs, keepRows }: LogRetention): Promise<string | null> {
  const { rows } = await pool.query<{ seq: string | null }>(horizonSql, [keepMs, keepRows])
  return rows[0]?.seq ?? null
}

/** How many entries `pruneLog` would forget. */
export async function countPrunable(pool: pg.Pool, retention: LogRetention): Promise<number> {
  const through = await horizonOf(pool, retention)
  if (through === null) return 0
  const { rows } = await pool.query<{ n: string }>(countSql, [through])
  return Number(rows[0]?.n)
}

/**
 * Forgets the oldest part of the change log, whole commits at a time. The horizon is raised first: a replica whose
 * cursor is older bootstraps, and never gets a catch-up with a hole in it. Returns how many entries went.
 */
export async function pruneLog(
  pool: pg.Pool,
  retention: LogRetention,
  onProgress?: (entries: number) => void,
): Promise<number> {
  const through = await horizonOf(pool, retention)
  if (through === null) return 0
  await pool.query('update sync_heads set pruned_through_seq = $1, updated_at = now() where pruned_through_seq < $1', [
    through,
  ])
  const entries = await deleteAll(pool, entriesSql, through, onProgress)
  const keys = await deleteAll(pool, keysSql, through, (n) => onProgress?.(entries + n))
  await pool.query('delete from sync.big_commits where seq <= $1', [through])
  return entries + keys
}

/** In chunks, so that no statement holds the embedded database's one backend for long. */
async function deleteAll(
  pool: pg.Pool,
  sql: string,
  through: string,
  onProgress: ((rows: number) => void) | undefined,
): Promise<number> {
  let total = 0
  for (;;) {
    const { rowCount } = await pool.query(sql, [through, chunkRows])
    total += rowCount ?? 0
    if (total > 0) onProgress?.(total)
    if ((rowCount ?? 0) < chunkRows) return total
  }
}

export interface PruneOptions {
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly dryRun?: boolean
  readonly triggeredBy?: string
  readonly onProgress?: (entries: number) => void
}

/** What went, or would go, from each. */
export interface Pruned {
  readonly changes: number
  /** Answers of calls, of seven days ago. */
  readonly calls: number
  /** Ids of webhook deliveries, of ninety days ago. */
  readonly deliveries: number
}

/** Of a quarter of an hour; see `auth/sign-in-tries.ts`. */
const triesSql = `delete from sync.sign_in_tries where since < now() - interval '1 hour'`

const old = {
  calls: `from sync.calls where received_at < now() - interval '7 days'`,
  deliveries: `from sync.webhook_deliveries where received_at < now() - interval '90 days'`,
} as const

/**
 * The change log by its policy, and what makes repeated calls and deliveries known. Undefined: another server is at it.
 */
export async function prune({
  pool,
  clock,
  dryRun = false,
  triggeredBy = 'schedule',
  onProgress,
}: PruneOptions): Promise<Pruned | undefined> {
  const work = async (): Promise<Pruned> => {
    const retention = await readLogRetention(pool)
    if (!dryRun) for (const sql of [canariesSql, triesSql]) await pool.query(sql)
    const take = async (what: keyof typeof old): Promise<number> => {
      if (!dryRun) return (await pool.query(`delete ${old[what]}`)).rowCount ?? 0
      return (await pool.query<{ n: number }>(`select count(*)::float8 as n ${old[what]}`)).rows[0]?.n ?? 0
    }
    const changes = !retention
      ? 0
      : dryRun
        ? await countPrunable(pool, retention)
        : await pruneLog(pool, retention, onProgress)
    return { changes, calls: await take('calls'), deliveries: await take('deliveries') }
  }
  const affected = ({ changes, calls, deliveries }: Pruned): number => changes + calls + deliveries
  const details = (pruned: Pruned): unknown => pruned
  return alone(pool, 'prune', () =>
    recordEffect({ pool, clock, kind: 'prune', dryRun, triggeredBy, affected, details }, work),
  )
}
