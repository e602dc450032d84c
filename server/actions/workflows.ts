import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { defineAction } from './action.ts'
import { oneRow } from './one-row.ts'

/**
 * Starts a run of a workflow: `{ run }`. It makes a task for each step of the definition, which agents claim like any
 * others; it waits (`queued`) while as many runs are under way as the workflow allows.
 */
export const startWorkflow = defineAction({
  name: 'workflows.start',
  input: z.strictObject({
    workflowId: z.uuid(),
    /** Where its tasks are, when the workflow is of no project. */
    projectId: z.uuid().optional(),
    input: z.record(z.string(), z.json()).default({}),
  }),
  async run(context, { workflowId, projectId, input }) {
    const { principal, access, query } = context
    const [workflow] = await query<{ readonly project: string | null; readonly active: boolean }>({
      name: 'action_workflow',
      text: `select project_id as project, is_active as active from workflows where id = $1 and organization_id = $2 and deleted_at is null for no key update`,
      values: [workflowId, principal.organizationId],
    })
    const where = workflow?.project ?? projectId
    if (!workflow || (workflow.project !== null && !access.channels.has(`project/${workflow.project}`)))
      throw new TideError('not_found', `There is no workflow ${workflowId} that the caller can see.`)
    if (where === undefined)
      throw new TideError('bad_message', `Workflow ${workflowId} is of no project, so its tasks need one.`, {
        remedy: 'Name a projectId.',
      })
    if (workflow.project !== null && projectId !== undefined && projectId !== workflow.project)
      throw new TideError('bad_message', `Workflow ${workflowId} is of project ${workflow.project}, not ${projectId}.`)
    const role = access.channels.get(`project/${where}`)
    if (role === undefined || role === 'viewer')
      throw new TideError('forbidden', `The caller may not make tasks in project ${where}.`)
    if (!workflow.active)
      throw new TideError('forbidden', `Workflow ${workflowId} is not active.`, { remedy: 'Set isActive first.' })
    const [run] = await query<{ readonly id: string | null }>({
      name: 'action_start_workflow',
      text: 'select sync.start_workflow($1, $2, $3, null) as id',
      values: [workflowId, where, JSON.stringify(input)],
    })
    if (!run?.id)
      throw new TideError(
        'forbidden',
        `Project ${where} is paused, cancelled, archived or deleted, so no run begins in it.`,
      )
    return { run: await oneRow(context, 'workflow_runs', run.id) }
  },
})

/**
 * Ends a run, and what is left of its tasks: `{ run }`. Nothing happens to one that has ended. Members and agents of
 * its project may.
 */
export const cancelWorkflow = defineAction({
  name: 'workflows.cancel',
  input: z.strictObject({ runId: z.uuid(), reason: z.string().max(2000).optional() }),
  async run(context, { runId, reason }) {
    const [run] = await context.query<{ readonly project: string | null }>({
      name: 'action_workflow_run',
      text: 'select project_id as project from workflow_runs where id = $1',
      values: [runId],
    })
    const role = run && context.access.channels.get(`project/${run.project}`)
    if (!role) throw new TideError('not_found', `There is no run ${runId} that the caller can see.`)
    if (role === 'viewer') throw new TideError('forbidden', `A viewer of the project may not cancel run ${runId}.`)
    await context.query({
      name: 'action_cancel_workflow',
      text: `select sync.end_workflow_run($1, 'cancelled', $2)`,
      values: [runId, reason ?? null],
    })
    return { run: await oneRow(context, 'workflow_runs', runId) }
  },
})
