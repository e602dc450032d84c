import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { actingAs } from './acting-as.ts'
import { defineAction } from './action.ts'

/**
 * Says that an agent's process lives, and how it is doing: `{ status }`. Measurements are silent columns, so a
 * heartbeat reaches no replica; only a change of status does. An instance that was taken for crashed is alive again.
 */
export const heartbeat = defineAction({
  name: 'agents.heartbeat',
  input: z.strictObject({
    instanceId: z.uuid(),
    status: z.enum(['starting', 'idle', 'busy', 'draining', 'stopped']).optional(),
    cpuPercent: z.number().min(0).max(9999.99).optional(),
    memoryMb: z.number().min(0).max(9_999_999_999).optional(),
    batteryPercent: z.number().min(0).max(100).optional(),
  }),
  async run(context, { instanceId, status, cpuPercent, memoryMb, batteryPercent }) {
    const [instance] = await context.query<{ readonly agent: string; readonly status: string }>({
      name: 'action_heartbeat_instance',
      text: 'select agent_id as agent, status from agent_instances where id = $1 and organization_id = $2 for no key update',
      values: [instanceId, context.principal.organizationId],
    })
    if (!instance) throw new TideError('not_found', `There is no agent instance ${instanceId} in this organization.`)
    await actingAs(context, instance.agent)
    const next = status ?? (['crashed', 'stopped'].includes(instance.status) ? 'idle' : instance.status)
    await context.query({
      name: 'action_heartbeat',
      text: `update agent_instances set
          last_heartbeat_at = now(), status = $2,
          stopped_at = case when $2 = 'stopped' then date_trunc('milliseconds', now()) end,
          exit_reason = case when $2 = 'stopped' then exit_reason end,
          cpu_percent = coalesce($3, cpu_percent), memory_mb = coalesce($4, memory_mb), battery_percent = coalesce($5, battery_percent)
        where id = $1`,
      values: [instanceId, next, cpuPercent ?? null, memoryMb ?? null, batteryPercent ?? null],
    })
    return { status: next }
  },
})
