import pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import type { SyncedTable } from '../catalog/catalog.ts'
import { channelExpression } from '../catalog/trigger-sql.ts'
import type { DatabaseJob } from './command.ts'
import { exitCodes, table } from './console.ts'

interface TableReport {
  readonly table: string
  readonly rows: number
  /** Rows whose stored channel is not the one that their scope columns say. */
  readonly strayed: number
  /** Rows that were made or changed later than the newest entry of the log that names them. */
  readonly unlogged: number
  /** Rows that are gone, and which the newest entry of the log does not say to be deleted. */
  readonly vanished: number
  /** Some ids of rows that are unlogged or vanished. */
  readonly examples: readonly string[]
}

/** A row on which table and log disagree; `version` is null where there is no row. */
interface Suspect {
  readonly id: string
  readonly version: string | null
}

const mostSuspects = 10_000
const shownExamples = 5

/** How long the newest canary may take: servers commit one every five seconds. Milliseconds. */
const canaryLimitMs = 20_000
const pollMs = 200

/**
 * Checks on the server what replicas rely on: every row is in the channel that its scope says, and the log names the
 * newest change of every row since its own beginning. Returns the exit code.
 */
export async function verify({
  database: { pool },
  catalog,
  console,
}: Pick<DatabaseJob, 'database' | 'catalog' | 'console'>): Promise<number> {
  const reports: TableReport[] = []
  for (const synced of catalog.synced.values()) {
    if (!synced.sqlColumns.some(({ property }) => property === 'channel')) continue
    console.progress(`Checking ${synced.name}`)
    const suspects = await findSuspects(pool, synced)
    const lost = suspects.length === 0 ? [] : await stillSuspect(pool, synced, suspects)
    reports.push({
      table: synced.name,
      ...(await countRows(pool, synced)),
      unlogged: lost.filter(({ version }) => version !== null).length,
      vanished: lost.filter(({ version }) => version === null).length,
      examples: lost.slice(0, shownExamples).map(({ id }) => id),
    })
  }
  const wrong = reports.filter(({ strayed, unlogged, vanished }) => strayed + unlogged + vanished > 0)
  const rows = reports.reduce((total, report) => total + report.rows, 0)
  const verdict =
    wrong.length === 0
      ? `${rows} rows in ${reports.length} tables agree with their channels and the log.`
      : [
          table(
            ['table', 'rows', 'in a wrong channel', 'changed, not in the log', 'gone, not in the log', 'for example'],
            wrong.map((one) => [one.table, one.rows, one.strayed, one.unlogged, one.vanished, one.examples[0]]),
          ),
          '',
          'Replicas do not learn of what is not in the log: `tide.verify()` on a replica fetches it, and so does the next change of the row.',
        ].join('\n')
  console.answer({ ok: wrong.length === 0, tables: reports }, verdict)
  return wrong.length === 0 ? exitCodes.ok : exitCodes.failed
}

async function countRows(pool: pg.Pool, synced: SyncedTable): Promise<Pick<TableReport, 'rows' | 'strayed'>> {
  // The table is called "new", as in the trigger that sets the channel: the expression is the same.
  const expression = channelExpression(synced.descriptor.scope, synced)
  const strayed = expression === undefined ? 'false' : `new.channel is distinct from (${expression})`
  const { rows } = await pool.query<{ rows: number; strayed: number }>(
    `select count(*)::integer as rows, count(*) filter (where ${strayed})::integer as strayed
     from ${pg.escapeIdentifier(synced.name)} as new`,
  )
  return rows[0] ?? { rows: 0, strayed: 0 }
}

/**
 * `updated_at` is the time at which the row's transaction began, and `occurred_at` that at which it was committed: the
 * newest entry of a row is never older than the row, however long its transaction took. Times are rounded, and clocks
 * are set: a tenth of a second is granted. Before the first entry of the log nothing can be said. Keys of a big commit
 * may be of a part of it that was rolled back, so they prove no missing row.
 */
const suspectsSql = (name: string): string => `
with entries as (
  select row_id, occurred_at, seq, ordinal, op from sync_changes where table_name = $1 and row_id is not null
  union all
  select k.row_id, c.occurred_at, c.seq, 0, 'big'
  from sync.big_commits b join sync_changes c on c.seq = b.seq and c.table_name = 'sync.big_commits'
  join sync.spilled_changes k on (k.term, k.xid) = (b.term, b.xid) where k.table_name = $1 and k.row_id is not null
), newest as (
  select distinct on (row_id) row_id, occurred_at, seq, op from entries order by row_id, seq desc, ordinal desc
), horizon as (
  select coalesce((select occurred_at from sync_changes order by seq limit 1), 'infinity') as since,
    coalesce((select max(seq) from sync_changes where table_name = $1 and op = 'reset'), 0) as reset
)
select row.id, row.xmin::text as version
from ${pg.escapeIdentifier(name)} row cross join horizon left join newest on newest.row_id = row.id
where row.updated_at > since and (newest.row_id is null or newest.occurred_at < row.updated_at - interval '100 milliseconds')
union all
select newest.row_id, null
from newest cross join horizon
where newest.op = 'upsert' and newest.seq > horizon.reset and not exists (select from ${pg.escapeIdentifier(name)} row where row.id = newest.row_id)
limit ${mostSuspects}`

async function findSuspects(pool: pg.Pool, { name }: SyncedTable): Promise<readonly Suspect[]> {
  return (await pool.query<Suspect>(suspectsSql(name), [name])).rows
}

/**
 * Of these, those on which table and log still disagree when the log has what was committed before: from the
 * write-ahead log it is written a moment later. What was changed meanwhile is judged by its next look.
 */
async function stillSuspect(
  pool: pg.Pool,
  synced: SyncedTable,
  before: readonly Suspect[],
): Promise<readonly Suspect[]> {
  const { rows } = await pool.query<{ capture: string; at: Date }>(
    'select capture, clock_timestamp() as at from sync.settings',
  )
  if (rows[0]?.capture === 'wal') await canaryAfter(pool, rows[0].at)
  const known = new Map(before.map(({ id, version }) => [id, version]))
  return (await findSuspects(pool, synced)).filter(({ id, version }) => known.get(id) === version)
}

/** Waits for a canary that was committed after this time, or no longer than a server would take to commit one. */
async function canaryAfter(pool: pg.Pool, at: Date): Promise<void> {
  const deadline = systemClock.monotonic() + canaryLimitMs
  const isThere = async (): Promise<boolean> => {
    const { rowCount } = await pool.query(
      `select from sync_changes where channel = 'canary' and occurred_at > $1 limit 1`,
      [at],
    )
    return rowCount === 1
  }
  while (!(await isThere()) && systemClock.monotonic() < deadline)
    await new Promise<void>((resolve) => void systemClock.after(pollMs, resolve))
}
