import type pg from 'pg'

/** What is kept of the change log: entries younger than `keepMs`, and never more than `keepRows`; nor more than as many keys of big commits. */
export interface LogRetention {
  readonly keepMs: number
  readonly keepRows: number
}

export const defaultLogRetention: LogRetention = { keepMs: 14 * 24 * 3600 * 1000, keepRows: 2_000_000 }

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

/**
 * Forgets the oldest part of the change log, whole commits at a time. The horizon is raised first: a replica whose
 * cursor is older bootstraps, and never gets a catch-up with a hole in it. Returns how many entries went.
 */
export async function pruneLog(pool: pg.Pool, retention: LogRetention): Promise<number> {
  const { rows } = await pool.query<{ seq: string | null }>(horizonSql, [retention.keepMs, retention.keepRows])
  const through = rows[0]?.seq ?? null
  if (through === null) return 0
  await pool.query('update sync_heads set pruned_through_seq = $1, updated_at = now() where pruned_through_seq < $1', [
    through,
  ])
  const total = (await deleteAll(pool, entriesSql, through)) + (await deleteAll(pool, keysSql, through))
  await pool.query('delete from sync.big_commits where seq <= $1', [through])
  return total
}

/** In chunks, so that no statement holds the embedded database's one backend for long. */
async function deleteAll(pool: pg.Pool, sql: string, through: string): Promise<number> {
  let total = 0
  for (;;) {
    const { rowCount } = await pool.query(sql, [through, chunkRows])
    total += rowCount ?? 0
    if ((rowCount ?? 0) < chunkRows) return total
  }
}
