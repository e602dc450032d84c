import { TideError } from '../../protocol/error.ts'
import type { ActionContext } from './action.ts'

/** A process that is to hold a claim must be one of the agent, and live. Throws `not_found`, `forbidden`. */
export async function checkInstance({ query }: ActionContext, agentId: string, instanceId: string): Promise<void> {
  const [instance] = await query<{ readonly live: boolean }>({
    name: 'action_instance',
    text: `select status in ('starting', 'idle', 'busy', 'draining') as live from agent_instances where id = $1 and agent_id = $2 for share`,
    values: [instanceId, agentId],
  })
  if (!instance) throw new TideError('not_found', `Agent ${agentId} has no instance ${instanceId}.`)
  if (!instance.live)
    throw new TideError('forbidden', `Instance ${instanceId} has stopped, so it can hold no claim.`, {
      remedy: 'Insert a row for the new instance and claim with its id.',
    })
}
