import type { Cli } from '../command.ts'

interface BackupOptions {
  readonly dir?: string
  readonly unencrypted?: boolean
  readonly restoreTest?: string | true
  readonly dryRun?: boolean
}

export function registerBackup(cli: Cli): void {
  cli.group('Backups')
  cli
    .command(
      'backup',
      'save the database in one encrypted file, as every night with BACKUP_DIR; or try one by restoring it beside',
    )
    .option('--dir <folder>', 'where it goes (default: BACKUP_DIR, or backups in the data folder)')
    .option('--unencrypted', 'without ENCRYPTION_KEYS')
    .option('--restore-test [file]', 'restore this file, or the newest, into a database of its own, and compare')
    .option('--dry-run', 'make none, and say which old ones would be removed')
    .action(
      cli.onDatabase<BackupOptions>(async ({ database, config, console }, { unencrypted = false, ...options }) =>
        (await import('../backup.ts')).backup(database, config, { ...options, encrypted: !unencrypted }, console),
      ),
    )
  cli
    .command('restore', 'put a backup in the place of the database; no server may run')
    .argument('<file>', 'made by backup')
    .option('--replace', 'also of one that is not empty; it is kept under another name')
    .action(
      cli.run<{ replace?: boolean }, [string]>(async ({ config, console }, options, file) =>
        (await import('../backup.ts')).restore(file, config, options, console),
      ),
    )
}
