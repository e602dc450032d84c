import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { defineAction } from './action.ts'
import { oneRow } from './pipelines.ts'

/**
 * Starts a run of a workflow: `{ run }`. It makes a task for each step of the definition, which agents claim like any others; it waits
 * (`queued`) while as many runs are under way as the workflow allows.
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
    const [run] = await query<{ readonly id: string }>({
      name: 'action_workflow_run',
      text: `insert into workflow_runs (organization_id, workflow_id, project_id, definition_revision, input, origin_device_id)
        select organization_id, id, $2, definition_revision, $3, $4 from workflows where id = $1 returning id`,
      values: [workflowId, where, JSON.stringify(input), principal.deviceId],
    })
    const id = run?.id ?? ''
    await query({ name: 'action_begin_workflow', text: 'select sync.begin_workflow_run($1)', values: [id] })
    return { run: await oneRow(context, 'workflow_runs', id) }
  },
})
