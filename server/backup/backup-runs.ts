import { rm } from 'node:fs/promises'
import { resolve, sep } from 'node:path'
import type pg from 'pg'
import type { Written } from './backup-file.ts'
import type { RowCounts } from './row-counts.ts'

/** A backup that was made, as `backup_runs` knows it. */
export interface BackupRecord {
  readonly id: string
  readonly location: string
  readonly sha256: Buffer | null
  readonly rowCounts: RowCounts
}

/** How long files are kept where the retention policy `backup_files` is gone. */
const keptFor = '30 days'

export interface RunOf {
  readonly kind: 'full' | 'restore_test'
  readonly location: string
  readonly encryptedWith: string | null
  readonly tested?: string | null
}

/**
 * Begins a row. Call it with the job's lock held: one that is still running is then of a process that ended in the
 * middle.
 */
export async function beginRun(
  pool: pg.Pool,
  { kind, location, encryptedWith, tested = null }: RunOf,
): Promise<string> {
  await pool.query(
    `update backup_runs set status = 'failed', finished_at = now(), error_message = 'The process ended before it did.' where kind = $1 and status = 'running'`,
    [kind],
  )
  const { rows } = await pool.query<{ id: string }>(
    `insert into backup_runs (kind, location, is_encrypted, key_id, tested_backup_id) values ($1, $2, $3, $4, $5) returning id`,
    [kind, location, encryptedWith !== null, encryptedWith, tested],
  )
  return rows[0]?.id ?? ''
}

export async function endRun(
  pool: pg.Pool,
  id: string,
  end: { readonly rowCounts: RowCounts; readonly written?: Written; readonly error?: string },
): Promise<void> {
  await pool.query(
    `update backup_runs set status = $2, finished_at = now(), row_counts = $3, size_bytes = $4, sha256 = $5, error_message = $6, updated_at = now(),
       expires_at = case when $2 = 'completed' and kind = 'full' then started_at + coalesce(
         (select keep_for from retention_policies where name = 'backup_files' and organization_id is null), interval '${keptFor}') end
     where id = $1`,
    [
      id,
      end.error === undefined ? 'completed' : 'failed',
      JSON.stringify(end.rowCounts),
      end.written?.sizeBytes ?? null,
      end.written?.sha256 ?? null,
      end.error ?? null,
    ],
  )
}

/** The newest backup whose file is still said to be there. */
export async function newestBackup(pool: pg.Pool, location?: string): Promise<BackupRecord | undefined> {
  const { rows } = await pool.query<BackupRecord>(
    `select id, location, sha256, row_counts as "rowCounts" from backup_runs
     where kind = 'full' and status = 'completed' and deleted_at is null and ($1::text is null or location = $1) order by started_at desc limit 1`,
    [location ?? null],
  )
  return rows[0]
}

/** Backups of this folder whose time is over, but for the newest; with `another`, as it would be after one more. */
export async function expiredBackups(
  pool: pg.Pool,
  dir: string,
  { another = false }: { readonly another?: boolean } = {},
): Promise<readonly { readonly id: string; readonly location: string }[]> {
  const { rows } = await pool.query<{ id: string; location: string }>(
    `select id, location from backup_runs where kind = 'full' and status = 'completed' and deleted_at is null and expires_at < now()
       and ($1 or id <> (select id from backup_runs where kind = 'full' and status = 'completed' and deleted_at is null order by started_at desc limit 1))
       and not exists (select from retention_policies where name = 'backup_files' and organization_id is null and (legal_hold or not is_enabled or action = 'keep'))
     order by started_at`,
    [another],
  )
  return rows.filter(({ location }) => resolve(location).startsWith(resolve(dir) + sep))
}

/** Removes their files. Their rows stay. Answers how many. */
export async function removeExpired(pool: pg.Pool, dir: string): Promise<number> {
  const expired = await expiredBackups(pool, dir)
  for (const { id, location } of expired) {
    await rm(location, { force: true })
    await pool.query('update backup_runs set deleted_at = now(), updated_at = now() where id = $1', [id])
  }
  return expired.length
}
