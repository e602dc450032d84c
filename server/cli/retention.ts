import { join } from 'node:path'
import { applyRetention } from '../maintenance/maintenance.ts'
import type { DatabaseJob } from './command.ts'
import { exitCodes, table } from './console.ts'

export interface RetentionCommandOptions {
  readonly dryRun?: boolean
  readonly days?: number
}

/** Runs retention now and says what went from where. */
export async function retention(
  { database: { pool }, catalog, config, console }: DatabaseJob,
  { dryRun = false, days }: RetentionCommandOptions,
): Promise<number> {
  const report = await applyRetention({
    pool,
    catalog,
    archiveDir: join(config.dataDir, 'archive'),
    artifactDir: config.artifactDir,
    dryRun,
    triggeredBy: 'cli',
    onProgress: (policy, from, rows) => console.progress(`${policy}: ${rows} rows of ${from}`),
    ...(days === undefined ? {} : { retentionDays: days }),
  })
  const lines = Object.entries(report.tables)
  const text = [
    report.status === 'skipped'
      ? 'Another server is at it; nothing was done here.'
      : lines.length === 0
        ? 'Nothing has outlived its policy.'
        : table(['table', dryRun ? 'rows that would go' : 'rows gone'], lines),
    ...Object.entries(report.months).map(([name, n]) => `${name}: ${n} empty months were dropped`),
    ...(report.files.removed > 0 ? [`${report.files.removed} files of artifacts were removed.`] : []),
    ...(report.files.left > 0
      ? [`${report.files.left} files of artifacts are left, in other places than ARTIFACT_DIR:`, ...report.files.places]
      : []),
    ...Object.entries(report.failures).map(([name, message]) => `${name} failed: ${message}`),
  ].join('\n')
  console.answer(report, text)
  return report.status === 'failed' ? exitCodes.failed : exitCodes.ok
}
