import type { Config } from '../config.ts'
import { processEnvironment } from '../config.ts'
import type { Backups } from '../maintenance/maintenance.ts'
import type { Log } from '../telemetry/telemetry.ts'
import type { BackupOptions } from './make-backup.ts'

/** What a server does for itself with BACKUP_DIR. Undefined: no folder is configured. */
export function nightlyBackups(
  config: Config,
  given: Pick<BackupOptions, 'database' | 'clock' | 'random'> & { readonly log: Log },
): Backups | undefined {
  const { log, database } = given
  if (config.backupDir === undefined) return undefined
  const optionsWith = (signal: AbortSignal): BackupOptions => ({
    ...given,
    signal,
    settings: config.database,
    dir: config.backupDir ?? '',
    keys: config.encryptionKeys,
    encrypt: true,
    programs: { bin: config.postgresBin, environment: processEnvironment() },
  })
  const wasDone = async (kind: string, withinMs: number): Promise<boolean> => {
    const { rowCount } = await database.pool.query(
      `select 1 from backup_runs where kind = $1 and status = 'completed' and started_at > now() - $2 * interval '1 millisecond'`,
      [kind, withinMs],
    )
    return (rowCount ?? 0) > 0
  }
  return {
    async make({ signal, unlessDoneMs }) {
      if (await wasDone('full', unlessDoneMs)) return
      const { makeBackup } = await import('./make-backup.ts')
      const made = await makeBackup(optionsWith(signal))
      if (made) log.info('Backup made', { location: made.location, bytes: made.sizeBytes, removed: made.removed })
    },
    async test({ signal, unlessDoneMs }) {
      if (await wasDone('restore_test', unlessDoneMs)) return
      const { testRestore } = await import('./restore.ts')
      const test = await testRestore(optionsWith(signal))
      if (!test) return
      const { location, differences } = test
      if (differences.length > 0) log.error('A backup did not come back whole', { location, differences })
      else log.info('A backup was restored on trial', { location })
    },
  }
}
