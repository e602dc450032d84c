import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { defineAction } from './action.ts'
import { oneRow } from './one-row.ts'

/**
 * Cancels or archives a project, and says why: `{ project, closure }`. Its open tasks are cancelled with it. Members of
 * the project may. Nothing happens to one that is closed in this way already; `closure` is the newest record of it.
 */
export const closeProject = defineAction({
  name: 'projects.close',
  input: z.strictObject({
    projectId: z.uuid(),
    kind: z.enum(['cancelled', 'archived']),
    reason: z.string().max(2000).optional(),
    /** Where its archive was stored, and the checksum of that. */
    archivePath: z.string().min(1).max(2000).optional(),
    archiveSha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits')
      .optional(),
    metadata: z.record(z.string(), z.json()).optional(),
  }),
  async run(context, { projectId, kind, ...told }) {
    const role = context.access.channels.get(`project/${projectId}`)
    if (!role) throw new TideError('not_found', `There is no project ${projectId} that the caller can see.`)
    if (!['member', 'admin', 'owner'].includes(role))
      throw new TideError('forbidden', `The role ${role} in project ${projectId} is not enough to close it.`)
    await context.query({
      name: 'action_closure',
      text: `select set_config('app.closure', $1, true)`,
      values: [JSON.stringify(told)],
    })
    await context.query({
      name: 'action_close_project',
      text: 'update projects set status = $2 where id = $1 and status <> $2 and deleted_at is null',
      values: [projectId, kind],
    })
    const [closure] = await context.query<{ readonly id: string }>({
      name: 'action_newest_closure',
      text: 'select id from project_closures where project_id = $1 and kind = $2 order by closed_at desc, id desc limit 1',
      values: [projectId, kind],
    })
    return {
      project: await oneRow(context, 'projects', projectId),
      closure: closure ? await oneRow(context, 'project_closures', closure.id) : null,
    }
  },
})
