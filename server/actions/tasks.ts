import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { actingAs } from './acting-as.ts'
import { defineAction, type ActionContext } from './action.ts'
import { checkInstance } from './check-instance.ts'
import { checkMayBegin } from './check-may-begin.ts'

const leaseSeconds = z.number().int().min(5).max(86_400)
/** Of the claim; a worker that lost its lease to another one of the same agent is told by it. */
const runId = z.uuid().optional()

/**
 * Takes the most important, then oldest task that is ready, for an agent: `{ task, runId }`, both null when there is
 * none. The task is `in_progress` until the lease is over; renew it, or finish by patching the task's status. An agent
 * that may begin nothing now is told so with `agent_unavailable`.
 */
export const claimTask = defineAction({
  name: 'tasks.claim',
  input: z.strictObject({
    agentId: z.uuid(),
    /** The process that will work on it; when that misses its heartbeats, the task is free again. */
    instanceId: z.uuid().optional(),
    /** Of one project only. */
    projectId: z.uuid().optional(),
    leaseSeconds: leaseSeconds.default(300),
  }),
  async run(context, { agentId, instanceId, projectId, leaseSeconds: seconds }) {
    const projects = await actingAs(context, agentId)
    if (projectId !== undefined && !projects.includes(projectId))
      throw new TideError('forbidden', `The caller may not work on tasks of project ${projectId}.`)
    if (instanceId !== undefined) await checkInstance(context, agentId, instanceId)
    const [claim] = await context.query<{ readonly task_id: string; readonly run_id: string }>({
      name: 'action_claim_task',
      text: 'select task_id, run_id from sync.claim_next_task($1, $2, make_interval(secs => $3), $4::uuid[])',
      values: [agentId, instanceId ?? null, seconds, projectId === undefined ? projects : [projectId]],
    })
    if (!claim) {
      await checkMayBegin(context, agentId, instanceId)
      return { task: null, runId: null }
    }
    const [task = null] = await context.rows('tasks', [claim.task_id])
    return { task, runId: claim.run_id }
  },
})

/**
 * Makes the lease of a claimed task end later, but not after the attempt's time is up (`timeoutSeconds`): `{
 * leaseExpiresAt }`.
 */
export const renewLease = defineAction({
  name: 'tasks.renew',
  input: z.strictObject({ taskId: z.uuid(), runId, leaseSeconds: leaseSeconds.default(300) }),
  async run(context, { taskId, runId: run, leaseSeconds: seconds }) {
    await checkHeld(context, taskId, run)
    await context.query({
      name: 'action_renew_lease',
      text: `update tasks t set lease_expires_at = date_trunc('milliseconds', least(
          clock_timestamp() + make_interval(secs => $2),
          (select max(r.started_at) from task_runs r where r.task_id = t.id and r.status = 'running') + make_interval(secs => t.timeout_seconds)
        )) where id = $1`,
      values: [taskId, seconds],
    })
    const [task] = await context.rows('tasks', [taskId])
    return { leaseExpiresAt: task?.['leaseExpiresAt'] ?? null }
  },
})

/** Gives a claimed task back, undone and without having used up an attempt: `{}`. */
export const releaseTask = defineAction({
  name: 'tasks.release',
  input: z.strictObject({ taskId: z.uuid(), runId }),
  async run(context, { taskId, runId: run }) {
    await checkHeld(context, taskId, run)
    await context.query({
      name: 'action_release_task',
      text: `update tasks set status = 'pending' where id = $1`,
      values: [taskId],
    })
    return {}
  },
})

/** Locks the task; it must be claimed by an agent that the caller may act as, and by this run when one is named. */
async function checkHeld(context: ActionContext, taskId: string, run: string | undefined): Promise<void> {
  const [task] = await context.query<{
    readonly agent: string | null
    readonly project: string
    readonly held: boolean
    readonly same: boolean
  }>({
    name: 'action_held_task',
    text: `select assigned_agent_id as agent, project_id as project, status = 'in_progress' and lease_expires_at > clock_timestamp() as held,
        $2::uuid is null or exists (select from task_runs r where r.id = $2 and r.task_id = tasks.id and r.status = 'running') as same
      from tasks where id = $1 and deleted_at is null for no key update`,
    values: [taskId, run ?? null],
  })
  if (!task || !context.access.channels.has(`project/${task.project}`))
    throw new TideError('not_found', `There is no task ${taskId} that the caller can see.`)
  if (!task.held || task.agent === null)
    throw new TideError('lease_lost', `Nobody holds a lease on task ${taskId}, or it has run out.`)
  if (!task.same)
    throw new TideError('lease_lost', `Run ${run} of task ${taskId} has ended; another one holds the lease.`)
  await actingAs(context, task.agent)
}
