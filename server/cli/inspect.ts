/** Commands by which an operator looks at the database and tends it: health, analytics, check, queries. */
import type { Database } from '../db/db.ts'
import {
  checkIntegrity,
  readSuccessMetrics,
  readSystemHealth,
  refreshAnalytics,
  reportStatements,
} from '../maintenance/maintenance.ts'
import { formatBytes } from '../telemetry/telemetry.ts'
import { exitCodes, table, type Console } from './console.ts'

/**
 * What the database says of itself, measured now, and the targets of the last 30 days. Returns 1 unless it is healthy.
 */
export async function health({ pool }: Database, console: Console): Promise<number> {
  const [found, metrics] = [await readSystemHealth(pool), await readSuccessMetrics(pool)]
  const { query_performance: queries, ...figures } = found.performance_metrics
  console.answer(
    { ...found, success_metrics: metrics },
    [
      `The database is ${found.status}.`,
      '',
      table(
        ['check', '', 'measured', 'well up to', 'what it is'],
        found.checks.map(({ name, status, value, limit, detail }) => [
          name,
          { ok: 'ok', warning: 'LOOK', failed: 'FAILED' }[status],
          value,
          limit,
          detail,
        ]),
      ),
      '',
      table(
        ['figure', 'value'],
        [...Object.entries(figures), ...Object.entries(queries)].map(([name, value]) => [
          name.replaceAll('_', ' '),
          value,
        ]),
      ),
      '',
      table(
        ['module', 'installed', 'tables', 'rows, about'],
        Object.entries(found.database_modules).map(([name, module]) => [
          name,
          module.installed ? 'yes' : 'NO',
          module.tables,
          module.estimated_rows,
        ]),
      ),
      '',
      table(
        ['in 30 days', 'of', 'reached', 'target', 'met'],
        metrics.map(({ metric, organization, value, target, met }) => [
          metric.replaceAll('_', ' '),
          organization ?? 'all servers',
          value === null ? null : percent(value),
          percent(target),
          met === null ? null : met ? 'yes' : 'NO',
        ]),
      ),
    ].join('\n'),
  )
  return found.status === 'healthy' ? exitCodes.ok : exitCodes.failed
}

/** Works the analytics out anew. */
export async function analytics(
  { pool }: Database,
  { only }: { readonly only?: readonly string[] },
  console: Console,
): Promise<void> {
  const views = await refreshAnalytics(pool, {
    triggeredBy: 'cli',
    onProgress: ({ name, ms }) => console.progress(`${name}: ${ms} ms`),
    ...(only === undefined ? {} : { only }),
  })
  console.answer(
    { status: views ? 'completed' : 'skipped', views: views ?? [] },
    views
      ? table(
          ['analytics', 'rows', 'ms'],
          views.map(({ name, rows, ms }) => [name, rows, ms]),
        )
      : 'A server is at it already; nothing was done here.',
  )
}

/** Looks for what foreign keys cannot hold. Returns 1 when something was found. */
export async function check({ pool }: Database, console: Console): Promise<number> {
  const looks = await checkIntegrity(pool, { triggeredBy: 'cli' })
  const problems = looks?.filter((look) => look.problems > 0) ?? []
  console.answer(
    { ok: problems.length === 0, status: looks ? 'completed' : 'skipped', looks: looks ?? [] },
    looks === undefined
      ? 'A server is at it already; nothing was looked at here.'
      : problems.length === 0
        ? `${looks.length} looks found nothing wrong.`
        : table(
            ['looked at', 'table', 'problems', 'for example'],
            problems.map((look) => [look.lookedAt, look.table, look.problems, look.example]),
          ),
  )
  return problems.length === 0 ? exitCodes.ok : exitCodes.failed
}

const shownStatement = 110

/** What is slow, unused and large. */
export async function queries(
  { pool }: Database,
  { since, limit }: { readonly since: number; readonly limit: number },
  console: Console,
): Promise<void> {
  const report = await reportStatements(pool, { seconds: since, limit })
  const { slowest, byPostgres, unusedIndexes, tables } = report
  const parts = [
    slowest.length === 0
      ? 'No server has counted a statement in this time.'
      : table(
          ['max ms', 'p95', 'average', 'calls', 'slow', 'errors', 'statement, slowest first'],
          slowest.map((one) => [
            one.maxMs.toFixed(1),
            one.p95Ms.toFixed(1),
            one.averageMs.toFixed(2),
            one.calls,
            one.slow,
            one.errors,
            one.statement.slice(0, shownStatement),
          ]),
        ),
    ...(byPostgres
      ? [
          table(
            ['max ms', 'average', 'calls', 'statement, as Postgres counted it'],
            byPostgres.map((one) => [
              one.maxMs.toFixed(1),
              one.averageMs.toFixed(2),
              one.calls,
              one.statement.replaceAll(/\s+/g, ' ').slice(0, shownStatement),
            ]),
          ),
        ]
      : []),
    unusedIndexes.length === 0
      ? 'Every index has been used.'
      : table(
          ['index never used', 'of', 'size'],
          unusedIndexes.map(({ index, table: of, bytes }) => [index, of, formatBytes(bytes)]),
        ),
    table(
      ['table', 'rows, about', 'size'],
      tables.map(({ table: name, rows, bytes }) => [name, rows, formatBytes(bytes)]),
    ),
  ]
  console.answer(report, parts.join('\n\n'))
}

function percent(part: number): string {
  return `${Number((part * 100).toFixed(3))} %`
}
