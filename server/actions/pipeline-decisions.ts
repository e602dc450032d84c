import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { defineAction, type ActionContext } from './action.ts'
import { oneRow } from './one-row.ts'

/** Ends a run: `{ execution }`. Nothing happens to one that has ended. */
export const cancelPipeline = defineAction({
  name: 'pipelines.cancel',
  input: z.strictObject({ executionId: z.uuid(), reason: z.string().max(2000).optional() }),
  async run(context, { executionId, reason }) {
    await checkRun(context, executionId, ['member', 'agent'], 'cancel it')
    await context.query({
      name: 'action_cancel_pipeline',
      text: `select sync.end_pipeline(id, 'cancelled', $2) from pipeline_executions where id = $1 and status in ('pending', 'queued', 'running')`,
      values: [executionId, reason ?? null],
    })
    return { execution: await oneRow(context, 'pipeline_executions', executionId) }
  },
})

/** Answers a step that waits for approval: `{ execution }`. Takes an admin of the project. */
export const approveStep = defineAction({
  name: 'pipelines.approve',
  input: z.strictObject({ stepExecutionId: z.uuid(), approved: z.boolean(), reason: z.string().max(2000).optional() }),
  async run(context, { stepExecutionId, approved, reason }) {
    const [step] = await context.query<{ readonly execution: string; readonly waits: boolean }>({
      name: 'action_approval',
      text: `select x.execution_id as execution, x.status = 'queued' and s.kind = 'approval' as waits
        from pipeline_step_executions x join pipeline_steps s on s.id = x.step_id where x.id = $1`,
      values: [stepExecutionId],
    })
    if (!step) throw new TideError('not_found', `There is no step ${stepExecutionId} that the caller can see.`)
    await checkRun(context, step.execution, [], 'approve')
    if (!step.waits) throw new TideError('forbidden', `Step ${stepExecutionId} does not wait for approval.`)
    const { kind, id } = context.principal
    await context.query({
      name: 'action_approve_step',
      text: 'select sync.finish_step($1, $2, $3)',
      values: [
        stepExecutionId,
        approved ? 'completed' : 'failed',
        JSON.stringify({
          outputs: { approved, by: { kind, id }, reason: reason ?? null },
          ...(approved ? {} : { error: reason ?? 'Refused.' }),
        }),
      ],
    })
    return { execution: await oneRow(context, 'pipeline_executions', step.execution) }
  },
})

/**
 * Takes a quality gate that failed as passed, which is recorded with who and why; the run goes on when no other gate
 * blocks it: `{ execution }`. Takes a person who is an admin of the project.
 */
export const waiveGate = defineAction({
  name: 'pipelines.waive',
  input: z.strictObject({
    executionId: z.uuid(),
    gate: z.string().min(1).max(200),
    reason: z.string().min(1).max(2000),
  }),
  async run(context, { executionId, gate, reason }) {
    await checkRun(context, executionId, [], 'waive a gate')
    if (context.principal.kind !== 'user')
      throw new TideError('forbidden', 'A gate is waived by a person, not by an agent.')
    const [row] = await context.query<{ readonly waived: boolean }>({
      name: 'action_waive_gate',
      text: 'select sync.waive_gate($1, $2, $3, $4) as waived',
      values: [executionId, gate, context.principal.id, reason],
    })
    if (row?.waived !== true)
      throw new TideError('not_found', `Run ${executionId} has no gate ${gate} that failed and is not waived.`)
    return { execution: await oneRow(context, 'pipeline_executions', executionId) }
  },
})

/** Admins and owners of the project may, and those of the roles. */
async function checkRun(
  context: ActionContext,
  executionId: string,
  roles: readonly string[],
  what: string,
): Promise<void> {
  const [run] = await context.query<{ readonly project: string }>({
    name: 'action_pipeline_run',
    text: 'select project_id as project from pipeline_executions where id = $1',
    values: [executionId],
  })
  const role = run && context.access.channels.get(`project/${run.project}`)
  if (!role) throw new TideError('not_found', `There is no run ${executionId} that the caller can see.`)
  if (!['admin', 'owner', ...roles].includes(role))
    throw new TideError('forbidden', `The role ${role} in the project of run ${executionId} is not enough to ${what}.`)
}
