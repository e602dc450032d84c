import { createWriteStream } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type pg from 'pg'
import { inOneTransaction } from '../../db/db.ts'
import type { RetentionStep } from './retention-plan.ts'
import { summaries } from './summaries.ts'

/** Rows that are gone, by table: those of the step, and those that went with them. */
export type Gone = ReadonlyMap<string, number>

const cutoff = '$1::timestamptz - $2::interval'

/** Takes the next batch; empty: nothing is left. */
export async function deleteBatch(pool: pg.Pool, step: RetentionStep, now: string): Promise<Gone> {
  if (!step.cascades) return only(step.table, await deleteRows(pool, step, now))
  return inOneTransaction(pool, (client) => deleteCounting(client, step, now))
}

/** Of each table the rows that this session deleted and has not reported yet. */
const deletedSql = `
select relname as name, pg_stat_get_xact_tuples_deleted(oid)::float8 as n from pg_class
where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'sync_changes'`

/** What goes with the rows is known to Postgres alone, which counts it. In a transaction. */
export async function deleteCounting(client: pg.ClientBase, step: RetentionStep, now: string): Promise<Gone> {
  const read = async (): Promise<Gone> => {
    const { rows } = await client.query<{ name: string; n: number }>(deletedSql)
    return new Map(rows.map(({ name, n }) => [name, n]))
  }
  const before = await read()
  const rows = await deleteRows(client, step, now)
  if (rows === 0) return new Map()
  const gone = new Map([[step.table, rows]])
  for (const [name, n] of await read()) {
    const here = n - (before.get(name) ?? 0)
    if (here > (gone.get(name) ?? 0)) gone.set(name, here)
  }
  return gone
}

function only(table: string, rows: number): Gone {
  return rows === 0 ? new Map() : new Map([[table, rows]])
}

/** By id, and in a monthly table by time: the place of a row (`ctid`) is not its own among partitions. */
async function deleteRows(
  on: Pick<pg.ClientBase, 'query'>,
  { policy, table, where, values, monthly }: RetentionStep,
  now: string,
): Promise<number> {
  const summary = policy.action === 'summarize_then_delete' ? summaries[table] : undefined
  const time = `"${policy.timeColumn}"`
  const chosen = summary?.byDay
    ? `select id${monthly ? `, ${time}` : ''} from "${table}" t where ${where} and ${time} < (select date_trunc('day', min(${time}), 'UTC') + interval '1 day' from "${table}" t where ${where})`
    : `select id${monthly ? `, ${time}` : ''} from "${table}" t where ${where} order by ${time} limit ${policy.batchSize}`
  const removal = monthly
    ? `delete from "${table}" d using (${chosen}) chosen where (d.id, d.${time}) = (chosen.id, chosen.${time}) and d.${time} < ${cutoff} returning d.*`
    : `delete from "${table}" where id = any (array(${chosen})) returning *`
  const { rows } = await on.query<{ n: string }>(
    `with gone as (${removal})${summary ? `, summed as (${summary.insert})` : ''} select count(*) as n from gone`,
    [now, ...values],
  )
  return Number(rows[0]?.n)
}

/**
 * Drops the months of which nothing has to stay, as whole tables. Answers how many rows they had. Who reads them for
 * long is not waited for: then their rows go one by one.
 */
export async function dropMonths(pool: pg.Pool, { table, policy, values }: RetentionStep, now: string): Promise<Gone> {
  const [keepFor] = values
  const { rows } = await pool.query<{ n: number }>(
    `select count(*)::float8 as n from "${table}" t
     where t."${policy.timeColumn}" < date_trunc('month', ${cutoff}, 'UTC')
       and t.tableoid <> (select partdefid from pg_partitioned_table where partrelid = '"${table}"'::regclass)`,
    [now, keepFor],
  )
  try {
    const dropped = await inOneTransaction(
      pool,
      (client) => client.query<{ n: number }>(`select sync.drop_partitions($3, ${cutoff}) as n`, [now, keepFor, table]),
      { begin: `begin; set local lock_timeout = '2s'` },
    )
    return only(table, (dropped.rows[0]?.n ?? 0) > 0 ? (rows[0]?.n ?? 0) : 0)
  } catch (error) {
    if (isLockTimeout(error)) return new Map()
    throw error
  }
}

/** SQLSTATE of a lock that was not given in time. */
function isLockTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '55P03'
}

/**
 * The file is on the disk before the rows are gone; should the commit fail, the same rows are archived again, under
 * another name.
 */
export async function archiveBatch(
  pool: pg.Pool,
  archiveDir: string,
  { policy, table, where, values, monthly }: RetentionStep,
  now: string,
  part: number,
): Promise<Gone> {
  const { rows } = await pool.query<{ id: string; at: string; line: string }>(
    `select t.id, t."${policy.timeColumn}"::text as at, row_to_json(t)::text as line from "${table}" t where ${where} order by t."${policy.timeColumn}" limit ${policy.batchSize}`,
    [now, ...values],
  )
  if (rows.length === 0) return new Map()
  const path = join(
    archiveDir,
    table,
    `${now.replaceAll(/[:.]/g, '-')}-${policy.organizationId ?? 'all'}-${part}.jsonl.gz`,
  )
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  try {
    await pipeline(
      Readable.from(rows.map(({ line }) => `${line}\n`)),
      createGzip(),
      createWriteStream(path, { mode: 0o600, flags: 'wx' }),
    )
    await flush(path)
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
  const ids = rows.map(({ id }) => id)
  if (monthly)
    await pool.query(
      `delete from "${table}" d using unnest($1::uuid[], $2::timestamptz[]) as chosen(id, at) where d.id = chosen.id and d."${policy.timeColumn}" = chosen.at and d."${policy.timeColumn}" <= $3::timestamptz`,
      [ids, rows.map(({ at }) => at), rows.at(-1)?.at],
    )
  else await pool.query(`delete from "${table}" where id = any ($1::uuid[])`, [ids])
  return only(table, rows.length)
}

async function flush(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
