import { bigint, double, enumeration, integer, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { runStatus } from '../enums.ts'
import { index } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

/** Code analysis runs; throughput is measured, not claimed. */
export const repositoryAnalyses = defineTable({
  table: 'repository_analyses',
  module: 'projects',
  direction: 'ro',
  policy: 'server',
  scope: { kind: 'via', parent: 'repositories', column: 'repositoryId', channel: 'repository' },
  columns: {
    ...recordColumns(),
    repositoryId: reference('repositories', 'cascade'),
    kind: enumeration(['structure', 'complexity', 'security', 'dependencies', 'quality', 'full']),
    branch: text().nullable(),
    commitSha: text().nullable(),
    status: enumeration(runStatus).default('queued'),
    filesAnalyzed: integer().min(0).default(0),
    linesAnalyzed: bigint().min(0).default(0),
    durationMs: bigint().min(0).nullable(),
    linesPerSecond: double().generated(
      'case when duration_ms > 0 then lines_analyzed::double precision * 1000::double precision / duration_ms::double precision else null::double precision end',
    ),
    findings: json().default([]),
    metrics: json().default({}),
    errorMessage: text().nullable(),
    startedAt: timestamp().nullable(),
    finishedAt: timestamp().nullable(),
  },
  classes: {
    fixed: ['repositoryId'],
  },
  indexes: [index(['repositoryId', 'kind', 'createdAt']), index(['status'])],
})
