import type pg from 'pg'
import { until } from '../pause.ts'
import type { Stand } from '../stand/stand.ts'

/** How many keys the change log holds above a position, those of commits that are one entry included. */
export async function loggedSince(client: pg.Client, seq: string): Promise<number> {
  const { rows } = await client.query<{ n: number }>({
    name: 'bench_logged',
    text: `select ((select count(*) from sync_changes where seq > $1 and table_name <> 'sync.big_commits')
      + (select coalesce(sum(keys), 0) from sync.big_commits where seq > $1))::int as n`,
    values: [seq],
  })
  return rows[0]?.n ?? 0
}

/** Position of the newest commit in the change log. */
export async function logHead(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ seq: string }>('select coalesce(max(seq), 0)::text as seq from sync_changes')
  return rows[0]?.seq ?? '0'
}

/** Waits until everything committed before the call is in the change log: a row of our own, written last, is there. */
export async function caughtUp(stand: Stand): Promise<void> {
  const client = await stand.connect()
  const { rows } = await client.query<{ id: string }>(
    'update tasks set position = position + 1 where project_id = $1 and id = (select min(id::text)::uuid from tasks where project_id = $1) returning id',
    [stand.projects.few.id],
  )
  const { rows: after } = await client.query<{ lsn: string }>(
    `select (pg_current_wal_lsn() - '0/0'::pg_lsn)::text as lsn`,
  )
  const lsn = Number(after[0]?.lsn ?? 0)
  // wal: seq is the commit's place in the write-ahead log, and the row was committed at or just before this one.
  await until(
    `the change of ${rows[0]?.id ?? ''} in the log`,
    async () => Number(await logHead(client)) >= lsn - 4096 || (await pendingTrigger(client)) === 0,
    { everyMs: 50 },
  )
  await client.end()
}

/** With capture by trigger there is no delay: nothing is pending once it is committed. NaN with the write-ahead log. */
async function pendingTrigger(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ n: number | null }>(
    `select case when exists (select from pg_trigger where tgname = 'capture_truncate') then (select count(*)::int from sync.pending_changes) end as n`,
  )
  return rows[0]?.n ?? Number.NaN
}
