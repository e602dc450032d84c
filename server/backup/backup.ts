/**
 * Backups: the whole database in one compressed and encrypted file, with the rows of every table counted in the same
 * snapshot. Each is tried by restoring it. Postgres is dumped by its own pg_dump; the folder of the embedded database
 * is copied.
 *
 *     snapshot ─ count ─ dump ─▶ zstd ─▶ AES-256-GCM ─▶ file        make-backup.ts
 *     file ─▶ … ─▶ a database of its own ─ count, compare           restore.ts: dropped, or in service
 */
export { expiredBackups } from './backup-runs.ts'
export { makeBackup, type BackupOptions } from './make-backup.ts'
export { restoreBackup, testRestore, type RestoreTest } from './restore.ts'
