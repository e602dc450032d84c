import type pg from 'pg'

/** A statement as the servers counted it. Times in milliseconds. */
export interface SlowStatement {
  readonly fingerprint: string
  readonly statement: string
  readonly calls: number
  readonly errors: number
  /** Calls above SLOW_QUERY_MS. */
  readonly slow: number
  readonly totalMs: number
  readonly averageMs: number
  readonly p95Ms: number
  readonly maxMs: number
  /** As EXPLAIN writes it, of some slow call; null: there is none. */
  readonly plan: unknown
}

export interface StatementsReport {
  readonly slowest: readonly SlowStatement[]
  /** What Postgres itself counted since its statistics were reset; null: pg_stat_statements is not installed. */
  readonly byPostgres: readonly Pick<SlowStatement, 'statement' | 'calls' | 'totalMs' | 'averageMs' | 'maxMs'>[] | null
  /**
   * Not used since statistics were reset, and not there to keep something unique. Of a partitioned table: in no
   * partition.
   */
  readonly unusedIndexes: readonly { readonly index: string; readonly table: string; readonly bytes: number }[]
  /** With indexes and partitions. */
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly bytes: number }[]
}

const slowestSql = `
select fingerprint, (array_agg(sample_sql order by bucket_start desc))[1] as statement, sum(calls)::float8 as calls, sum(error_calls)::float8 as errors,
  sum(slow_calls)::float8 as slow, sum(total_ms) as "totalMs", sum(total_ms) / sum(calls) as "averageMs",
  sync.histogram_quantile((
    select jsonb_object_agg(key, n) from (
      select h.key, sum(h.value::bigint) as n from query_statistics b cross join lateral jsonb_each_text(b.histogram) h
      where b.fingerprint = q.fingerprint and b.bucket_start >= date_trunc('minute', now() - $1 * interval '1 second') group by h.key
    ) summed), 0.95, max(max_ms)) as "p95Ms",
  max(max_ms) as "maxMs", (array_agg(plan order by bucket_start desc) filter (where plan is not null))[1] as plan
from query_statistics q where bucket_start >= date_trunc('minute', now() - $1 * interval '1 second')
group by fingerprint order by max(max_ms) desc limit $2`

const postgresSql = `
select query as statement, calls::float8 as calls, total_exec_time as "totalMs", mean_exec_time as "averageMs", max_exec_time as "maxMs"
from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database()) order by mean_exec_time desc limit $1`

const unusedSql = `
select coalesce(p.inhparent, i.indexrelid)::regclass::text as index, coalesce(tp.inhparent, i.indrelid)::regclass::text as table, sum(pg_relation_size(i.indexrelid))::float8 as bytes
from pg_index i join pg_stat_user_indexes s on s.indexrelid = i.indexrelid
left join pg_inherits p on p.inhrelid = i.indexrelid left join pg_inherits tp on tp.inhrelid = i.indrelid
where not i.indisunique and not i.indisprimary and s.schemaname in ('public', 'sync')
group by 1, 2 having sum(s.idx_scan) = 0 order by 3 desc, 1 limit $1`

const tablesSql = `
select coalesce(p.inhparent, c.oid)::regclass::text as table, sum(greatest(c.reltuples, 0))::float8 as rows, sum(pg_total_relation_size(c.oid))::float8 as bytes
from pg_class c left join pg_inherits p on p.inhrelid = c.oid
where c.relkind in ('r', 'm') and c.relnamespace in ('public'::regnamespace, 'sync'::regnamespace) group by 1 order by 3 desc limit $1`

/**
 * The slowest statements of the last seconds, the slowest first; indexes nobody uses; and what is large. At most
 * `limit` of each.
 */
export async function reportStatements(
  db: Pick<pg.Pool, 'query'>,
  { seconds, limit }: { readonly seconds: number; readonly limit: number },
): Promise<StatementsReport> {
  const slowest = await db.query<SlowStatement>(slowestSql, [seconds, limit])
  const unused = await db.query<StatementsReport['unusedIndexes'][number]>(unusedSql, [limit])
  const tables = await db.query<StatementsReport['tables'][number]>(tablesSql, [limit])
  const there = await db.query(`select 1 from pg_extension where extname = 'pg_stat_statements'`)
  const counted = there.rowCount
    ? (await db.query<NonNullable<StatementsReport['byPostgres']>[number]>(postgresSql, [limit])).rows
    : null
  return { slowest: slowest.rows, byPostgres: counted, unusedIndexes: unused.rows, tables: tables.rows }
}
