import pg from 'pg'
import { loadCatalog, type SyncedTable } from '../catalog/catalog.ts'
import { channelExpression } from '../catalog/trigger-sql.ts'
import type { Database } from '../db/db.ts'
import { exitCodes, table, type Console } from './console.ts'

interface TableReport {
  readonly table: string
  readonly rows: number
  /** Rows whose stored channel is not the one that their scope columns say. */
  readonly strayed: number
  /** Rows made since the log begins that it does not name. */
  readonly unlogged: number
}

/**
 * Checks on the server what replicas rely on: every row is in the channel that its scope says, and the newest change of
 * every row that is younger than the log's horizon is in the log. Returns the exit code.
 */
export async function verify(database: Database, console: Console): Promise<number> {
  const reports: TableReport[] = []
  for (const synced of loadCatalog().synced.values()) {
    if (!synced.sqlColumns.some(({ property }) => property === 'channel')) continue
    console.progress(`Checking ${synced.name}`)
    reports.push(await checkTable(database.pool, synced))
  }
  const wrong = reports.filter(({ strayed, unlogged }) => strayed + unlogged > 0)
  const rows = reports.reduce((total, report) => total + report.rows, 0)
  const verdict =
    wrong.length === 0
      ? `${rows} rows in ${reports.length} tables agree with their channels and the log.`
      : table(
          ['table', 'rows', 'in a wrong channel', 'not in the log'],
          wrong.map((report) => [report.table, report.rows, report.strayed, report.unlogged]),
        )
  console.answer({ ok: wrong.length === 0, tables: reports }, verdict)
  return wrong.length === 0 ? exitCodes.ok : exitCodes.failed
}

async function checkTable(pool: pg.Pool, synced: SyncedTable): Promise<TableReport> {
  const name = pg.escapeIdentifier(synced.name)
  // The table is called "new", as in the trigger that sets the channel: the expression is the same.
  const expression = channelExpression(synced.descriptor.scope, synced)
  const strayed = expression === undefined ? 'false' : `new.channel is distinct from (${expression})`
  const { rows } = await pool.query<{ rows: number; strayed: number; unlogged: number }>(
    `
    select count(*)::integer as rows, count(*) filter (where ${strayed})::integer as strayed,
      count(*) filter (where new.created_at > horizon.since and new.id not in (
        select row_id from sync_changes where table_name = $1 and row_id is not null
        union all select k.row_id from sync.big_commits join sync.spilled_changes k using (term, xid) where k.table_name = $1 and k.row_id is not null
      ))::integer as unlogged
    from ${name} as new cross join (
      -- Rows of the last seconds may wait for the log; before its first entry nothing can be said.
      select coalesce((select occurred_at from sync_changes order by seq limit 1), 'infinity') as since
    ) horizon
    where new.created_at < now() - interval '5 seconds'`,
    [synced.name],
  )
  const [counts] = rows
  return { table: synced.name, rows: counts?.rows ?? 0, strayed: counts?.strayed ?? 0, unlogged: counts?.unlogged ?? 0 }
}
