import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { storableText } from '../../protocol/rows/storable-json.ts'
import { actingAs } from './acting-as.ts'
import { defineAction, type ActionContext } from './action.ts'
import { oneRow } from './one-row.ts'
import { checkInstance } from './check-instance.ts'
import { checkMayBegin } from './check-may-begin.ts'

const leaseSeconds = z.number().int().min(5).max(86_400)
/** Of the claim; a process whose step another one of the same agent holds by now is told by it. */
const instanceId = z.uuid().optional()
/** Kinds of steps that workers do; the others are the server's, or wait for a person. */
const workKinds = ['command', 'agent', 'test', 'build', 'deploy'] as const

/** Starts a run of a pipeline: `{ execution }`. Members of its project and agents in it may. */
export const startPipeline = defineAction({
  name: 'pipelines.start',
  input: z.strictObject({
    pipelineId: z.uuid(),
    branch: z.string().max(255).optional(),
    commitSha: z.string().max(64).optional(),
    inputs: z.record(z.string(), z.json()).default({}),
  }),
  async run(context, { pipelineId, branch, commitSha, inputs }) {
    await checkPipeline(context, pipelineId)
    const [row] = await context.query<{ readonly id: string | null }>({
      name: 'action_start_pipeline',
      text: `select sync.start_pipeline($1, 'api', $2, $3, $4) as id`,
      values: [pipelineId, branch ?? null, commitSha ?? null, JSON.stringify(inputs)],
    })
    if (!row?.id)
      throw new TideError('forbidden', `Pipeline ${pipelineId} is not active, or its project is paused or has ended.`, {
        remedy: 'Set isActive of the pipeline to true, or the status of its project to active, first.',
      })
    return { execution: await oneRow(context, 'pipeline_executions', row.id) }
  },
})

/**
 * Gives an agent the next step of a pipeline that is ready, with a lease: `{ step, work }`, both null when there is
 * none. `work` is what it is to do.
 */
export const claimStep = defineAction({
  name: 'pipelines.claim',
  input: z.strictObject({
    agentId: z.uuid(),
    instanceId: z.uuid().optional(),
    projectId: z.uuid().optional(),
    kinds: z
      .array(z.enum(workKinds))
      .min(1)
      .default([...workKinds]),
    leaseSeconds: leaseSeconds.default(300),
  }),
  async run(context, { agentId, instanceId, projectId, kinds, leaseSeconds: seconds }) {
    const projects = await actingAs(context, agentId)
    if (projectId !== undefined && !projects.includes(projectId))
      throw new TideError('forbidden', `The caller may not work on pipelines of project ${projectId}.`)
    if (instanceId !== undefined) await checkInstance(context, agentId, instanceId)
    const [row] = await context.query<{ readonly id: string | null }>({
      name: 'action_claim_step',
      text: 'select sync.claim_step($1, $2, make_interval(secs => $3), $4::uuid[], $5) as id',
      values: [agentId, instanceId ?? null, seconds, projectId === undefined ? projects : [projectId], kinds],
    })
    if (!row?.id) {
      await checkMayBegin(context, agentId, instanceId)
      return { step: null, work: null }
    }
    const [work = null] = await context.query<{ readonly work: Json }>({
      name: 'action_step_work',
      text: `select jsonb_build_object(
          'kind', s.kind, 'configuration', s.configuration, 'environment', p.environment, 'inputs', e.inputs, 'branch', e.branch,
          'commitSha', e.commit_sha, 'runNumber', e.run_number, 'pipelineId', p.id,
          'outputs', (select coalesce(jsonb_object_agg(o.step_name, o.outputs order by o.attempt), '{}') from pipeline_step_executions o
            where o.execution_id = e.id and o.outputs is not null)) as work
        from pipeline_step_executions x join pipeline_steps s on s.id = x.step_id
        join pipeline_executions e on e.id = x.execution_id join pipelines p on p.id = e.pipeline_id where x.id = $1`,
      values: [row.id],
    })
    return { step: await oneRow(context, 'pipeline_step_executions', row.id), work: work?.work ?? null }
  },
})

/** Makes the lease of a step end later, but not after the step's time is up: `{}`. */
export const renewStep = defineAction({
  name: 'pipelines.renew',
  input: z.strictObject({ stepExecutionId: z.uuid(), instanceId, leaseSeconds: leaseSeconds.default(300) }),
  async run(context, { stepExecutionId, instanceId: instance, leaseSeconds: seconds }) {
    await checkHeld(context, stepExecutionId, instance)
    await context.query({
      name: 'action_renew_step',
      text: 'update sync.step_leases set expires_at = least(clock_timestamp() + make_interval(secs => $2), deadline) where step_execution_id = $1',
      values: [stepExecutionId, seconds],
    })
    return {}
  },
})

const artifact = z.strictObject({
  name: z.string().min(1).max(255),
  kind: z.enum(['file', 'report', 'coverage', 'image', 'package', 'log']).default('file'),
  storageUri: z.string().min(1).max(2000),
  sizeBytes: z.number().int().min(0).optional(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'),
  contentType: z.string().max(255).optional(),
  expiresAt: z.iso.datetime({ offset: true }).optional(),
})

/**
 * Ends a step: `{ execution }`, the run as it is then. `outputs.metrics` (numbers by name) are what quality gates
 * compare. Artifacts are stored elsewhere; each is recorded with its checksum. Throws `lease_lost`.
 */
export const finishStep = defineAction({
  name: 'pipelines.finish',
  input: z.strictObject({
    stepExecutionId: z.uuid(),
    instanceId,
    status: z.enum(['completed', 'failed']),
    exitCode: z.number().int().optional(),
    /**
     * The last 65,536 characters are kept. What cannot be stored of it is U+FFFD, so that no output of a program keeps
     * a step from ending.
     */
    logTail: z.string().max(1_000_000).transform(storableText).optional(),
    logUri: z.string().max(2000).optional(),
    outputs: z.looseObject({ metrics: z.record(z.string(), z.number()).optional() }).optional(),
    error: z.string().max(2000).transform(storableText).optional(),
    artifacts: z.array(artifact).max(1000).default([]),
  }),
  async run(context, { stepExecutionId, instanceId: instance, status, artifacts, ...report }) {
    const executionId = await checkHeld(context, stepExecutionId, instance)
    await context.query({
      name: 'action_step_artifacts',
      text: `insert into pipeline_artifacts (organization_id, project_id, execution_id, step_execution_id, name, kind, storage_uri, size_bytes, sha256,
          content_type, expires_at)
        select x.organization_id, x.project_id, x.execution_id, x.id, a.name, a.kind, a."storageUri", a."sizeBytes", decode(a.sha256, 'hex'),
          a."contentType", a."expiresAt"
        from pipeline_step_executions x, jsonb_to_recordset($2::jsonb)
          as a(name text, kind text, "storageUri" text, "sizeBytes" bigint, sha256 text, "contentType" text, "expiresAt" timestamptz)
        where x.id = $1
        on conflict (execution_id, name) do update set storage_uri = excluded.storage_uri, size_bytes = excluded.size_bytes, sha256 = excluded.sha256,
          step_execution_id = excluded.step_execution_id, kind = excluded.kind, content_type = excluded.content_type, expires_at = excluded.expires_at`,
      values: [stepExecutionId, JSON.stringify(artifacts)],
    })
    await context.query({
      name: 'action_finish_step',
      text: 'select sync.finish_step($1, $2, $3)',
      values: [stepExecutionId, status, JSON.stringify(report)],
    })
    return { execution: await oneRow(context, 'pipeline_executions', executionId) }
  },
})

/**
 * Locks the lease; it must be held by an agent that the caller may act as, and by this process when one is named.
 * Answers the id of the run.
 */
async function checkHeld(
  context: ActionContext,
  stepExecutionId: string,
  instance: string | undefined,
): Promise<string> {
  const [step] = await context.query<{
    readonly project: string
    readonly execution: string
    readonly agent: string | null
  }>({
    name: 'action_held_step',
    // The run first, as everybody locks them.
    text: `with run as (
        select e.id, e.project_id from pipeline_executions e
        where e.id = (select execution_id from pipeline_step_executions where id = $1) for no key update
      )
      select run.project_id as project, run.id as execution,
        (select agent_id from sync.step_leases where step_execution_id = $1 and expires_at > clock_timestamp()
          and ($2::uuid is null or instance_id = $2)) as agent
      from run`,
    values: [stepExecutionId, instance ?? null],
  })
  if (!step || !context.access.channels.has(`project/${step.project}`))
    throw new TideError('not_found', `There is no step ${stepExecutionId} that the caller can see.`)
  if (step.agent === null)
    throw new TideError(
      'lease_lost',
      `${instance === undefined ? 'Nobody holds' : `Instance ${instance} does not hold`} a lease on step ${stepExecutionId}, or it has run out.`,
    )
  await actingAs(context, step.agent)
  return step.execution
}

/** Throws `not_found`, and `forbidden` to those who may only look. */
async function checkPipeline(context: ActionContext, pipelineId: string): Promise<void> {
  const [pipeline] = await context.query<{ readonly project: string }>({
    name: 'action_pipeline',
    text: 'select project_id as project from pipelines where id = $1 and deleted_at is null',
    values: [pipelineId],
  })
  const role = pipeline && context.access.channels.get(`project/${pipeline.project}`)
  if (!role) throw new TideError('not_found', `There is no pipeline ${pipelineId} that the caller can see.`)
  if (role === 'viewer') throw new TideError('forbidden', 'A viewer of the project may not start its pipelines.')
}
