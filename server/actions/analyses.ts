import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { defineAction, type ActionContext } from './action.ts'
import { oneRow } from './one-row.ts'

const whole = z.number().int().min(0)

const file = z.strictObject({
  path: z.string().min(1).max(1000),
  lines: whole,
  /** From 0 to 100. */
  complexityScore: z.number().min(0).max(100),
  cyclomaticComplexity: z.number().min(0).max(99_999_999).optional(),
  dependencies: whole.optional(),
})

/** The most that one analysis may find. */
const mostFindings = 100_000

/**
 * Stores what an analysis of a repository found: `{ analysis }`. Large ones come in parts: all but the last say
 * `running`, and each later one names the `analysisId`. Each file becomes a row of `complexity_metrics`. Members of the
 * project and agents in it may.
 */
export const storeAnalysis = defineAction({
  name: 'analyses.store',
  input: z.strictObject({
    repositoryId: z.uuid(),
    analysisId: z.uuid().optional(),
    kind: z.enum(['structure', 'complexity', 'security', 'dependencies', 'quality', 'full']),
    branch: z.string().max(255).optional(),
    commitSha: z.string().max(64).optional(),
    status: z.enum(['running', 'completed', 'failed']).default('completed'),
    /** So far. */
    durationMs: whole,
    files: z.array(file).max(20_000).default([]),
    findings: z.array(z.json()).max(20_000).default([]),
    metrics: z.record(z.string(), z.json()).default({}),
    error: z.string().max(2000).optional(),
  }),
  async run(context, input) {
    const { principal, query } = context
    const project = await checkRepository(context, input.repositoryId)
    const lines = input.files.reduce((sum, each) => sum + each.lines, 0)
    const [stored] = await query<{ readonly id: string }>(
      input.analysisId === undefined
        ? {
            name: 'action_store_analysis',
            text: `insert into repository_analyses (organization_id, repository_id, kind, branch, commit_sha, status, files_analyzed, lines_analyzed, duration_ms,
                findings, metrics, error_message, started_at, finished_at, origin_device_id)
              values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, date_trunc('milliseconds', clock_timestamp()) - $9::bigint * interval '1 millisecond',
                case when $6 <> 'running' then date_trunc('milliseconds', clock_timestamp()) end, $13)
              returning id`,
            values: [
              principal.organizationId,
              input.repositoryId,
              input.kind,
              input.branch ?? null,
              input.commitSha ?? null,
              input.status,
              input.files.length,
              lines,
              input.durationMs,
              JSON.stringify(input.findings),
              JSON.stringify(input.metrics),
              input.error ?? null,
              principal.deviceId,
            ],
          }
        : {
            name: 'action_continue_analysis',
            text: `update repository_analyses set status = $3, files_analyzed = files_analyzed + $4, lines_analyzed = lines_analyzed + $5, duration_ms = $6,
                findings = findings || $7::jsonb, metrics = metrics || $8::jsonb, error_message = $9,
                finished_at = case when $3 <> 'running' then date_trunc('milliseconds', clock_timestamp()) end
              where id = $1 and repository_id = $2 and status = 'running' and jsonb_array_length(findings) + jsonb_array_length($7::jsonb) <= ${mostFindings}
              returning id`,
            values: [
              input.analysisId,
              input.repositoryId,
              input.status,
              input.files.length,
              lines,
              input.durationMs,
              JSON.stringify(input.findings),
              JSON.stringify(input.metrics),
              input.error ?? null,
            ],
          },
    )
    if (!stored)
      throw new TideError(
        'not_found',
        `The repository has no analysis ${String(input.analysisId)} that is running, or it has ${mostFindings} findings already.`,
      )
    await query({
      name: 'action_analysed_files',
      text: `insert into complexity_metrics (organization_id, project_id, repository_id, lines_of_code, files_touched, cyclomatic_complexity, dependency_count,
          complexity_score, factors, created_by_user_id, created_by_agent_id, origin_device_id)
        select $1, $2, $3, f.lines, 1, f."cyclomaticComplexity", f.dependencies, f."complexityScore", jsonb_build_object('path', f.path, 'analysisId', $4::text), $5, $6, $7
        from jsonb_to_recordset($8::jsonb) as f(path text, lines integer, "complexityScore" numeric, "cyclomaticComplexity" numeric, dependencies integer)`,
      values: [
        principal.organizationId,
        project,
        input.repositoryId,
        stored.id,
        principal.kind === 'user' ? principal.id : null,
        principal.kind === 'agent' ? principal.id : null,
        principal.deviceId,
        JSON.stringify(input.files),
      ],
    })
    return { analysis: await oneRow(context, 'repository_analyses', stored.id) }
  },
})

/** Answers its project. */
async function checkRepository({ query, access }: ActionContext, id: string): Promise<string> {
  const [repository] = await query<{ readonly project: string }>({
    name: 'action_repository',
    text: 'select project_id as project from repositories where id = $1 and deleted_at is null',
    values: [id],
  })
  const role = repository && access.channels.get(`project/${repository.project}`)
  if (!repository || !role) throw new TideError('not_found', `There is no repository ${id} that the caller can see.`)
  if (role === 'viewer') throw new TideError('forbidden', 'A viewer of the project may not store analyses.')
  return repository.project
}
