import { join } from 'node:path'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import {
  expiredBackups,
  makeBackup,
  restoreBackup,
  testRestore,
  type BackupOptions,
  type RestoreTest,
} from '../backup/backup.ts'
import { processEnvironment, type Config } from '../config.ts'
import type { Database } from '../db/db.ts'
import { formatBytes } from '../telemetry/telemetry.ts'
import { exitCodes, type Console } from './console.ts'

export interface BackupCommandOptions {
  readonly dir?: string
  readonly encrypted: boolean
  /** True: the newest. */
  readonly restoreTest?: string | true
  /** Only says which would be removed. */
  readonly dryRun?: boolean
}

/** Makes a backup, or tries one by restoring it beside. Ctrl-C ends it and leaves nothing behind. */
export async function backup(
  database: Database,
  config: Config,
  { dir, encrypted, restoreTest, dryRun = false }: BackupCommandOptions,
  console: Console,
): Promise<number> {
  const folder = dir ?? config.backupDir ?? join(config.dataDir, 'backups')
  if (dryRun) {
    const removed = (await expiredBackups(database.pool, folder, { another: true })).map(({ location }) => location)
    console.answer(
      { dryRun, dir: folder, removed },
      [`A backup would go to ${folder}.`, ...removed.map((location) => `It would remove ${location}.`)].join('\n'),
    )
    return exitCodes.ok
  }
  return cancellable(async (signal) => {
    const options: BackupOptions = {
      database,
      settings: config.database,
      dir: folder,
      keys: config.encryptionKeys,
      encrypt: encrypted,
      programs: programsOf(config),
      clock: systemClock,
      random: systemRandom,
      onProgress: (text) => console.progress(text),
      signal,
    }
    if (restoreTest !== undefined)
      return tell(await testRestore(options, restoreTest === true ? undefined : restoreTest), console)
    const made = await makeBackup(options)
    if (!made) {
      console.answer({ status: 'skipped' }, 'A server is at it already; nothing was done here.')
      return exitCodes.ok
    }
    const { sha256, ...rest } = made
    const rows = Object.values(made.rowCounts).reduce((sum, n) => sum + n, 0)
    console.answer(
      { status: 'completed', ...rest, sha256: sha256.toString('hex') },
      [
        made.location,
        `${formatBytes(made.sizeBytes)}, ${rows} rows, ${made.keyId === null ? 'NOT ENCRYPTED' : `encrypted with key ${made.keyId}`}, SHA-256 ${sha256.toString('hex')}`,
        ...(made.removed > 0 ? [`${made.removed} old backups were removed.`] : []),
      ].join('\n'),
    )
    return exitCodes.ok
  })
}

function tell(test: RestoreTest | undefined, console: Console): number {
  if (!test) {
    console.answer({ status: 'skipped' }, 'A server is at it already; nothing was done here.')
    return exitCodes.ok
  }
  const { location, rowCounts, differences, problems } = test
  const good = differences.length === 0
  const tables = Object.keys(rowCounts).length
  console.answer(
    { status: good ? 'completed' : 'failed', ...test },
    [
      good
        ? `${location} came back whole: ${tables} tables with the rows that were saved.`
        : `${location} did not come back whole:`,
      ...differences,
      problems === 0
        ? 'The integrity check found nothing.'
        : `The integrity check found ${problems} problems; they were in the database when it was saved (\`npx tidewire check\`).`,
    ].join('\n'),
  )
  return good ? exitCodes.ok : exitCodes.failed
}

/** Puts a backup in the place of the configured database. */
export async function restore(
  file: string,
  config: Config,
  { replace = false }: { readonly replace?: boolean },
  console: Console,
): Promise<void> {
  const done = await cancellable((signal) =>
    restoreBackup(file, config.database, {
      keys: config.encryptionKeys,
      programs: programsOf(config),
      replace,
      stamp: new Date(systemClock.now()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').toLowerCase(),
      onProgress: (text) => console.progress(text),
      signal,
    }),
  )
  const rows = Object.values(done.rowCounts).reduce((sum, n) => sum + n, 0)
  console.answer(
    { rows, kept: done.kept },
    [
      `Restored ${rows} rows from ${file}. Replicas load their channels anew, and send again what they still have.`,
      ...(done.kept === null
        ? []
        : [`What was there before is kept as ${done.kept}; remove it when you no longer need it.`]),
    ].join('\n'),
  )
}

function programsOf(config: Config): BackupOptions['programs'] {
  return { bin: config.postgresBin, environment: processEnvironment() }
}

/** The first Ctrl-C asks the work to end in order, the second ends the process. */
async function cancellable<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ending = new AbortController()
  const cancel = (): void => ending.abort(new Error('Cancelled; nothing was left behind.'))
  process.once('SIGINT', cancel).once('SIGTERM', cancel)
  try {
    return await work(ending.signal)
  } finally {
    process.off('SIGINT', cancel).off('SIGTERM', cancel)
  }
}
