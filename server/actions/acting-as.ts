import { TideError } from '../../protocol/error.ts'
import type { ActionContext } from './action.ts'

/**
 * The projects in which the caller may work in the name of the agent. An agent acts for itself; a user for agents that
 * are their own, or for all when an admin. Throws `not_found` for an agent of another organization, `forbidden`.
 */
export async function actingAs(
  { principal, access, query }: ActionContext,
  agentId: string,
): Promise<readonly string[]> {
  const { organizationId, kind, id } = principal
  const [agent] = await query<{ readonly owner: string | null }>({
    name: 'action_agent',
    text: 'select owner_user_id as owner from agents where id = $1 and organization_id = $2 and deleted_at is null',
    values: [agentId, organizationId],
  })
  if (!agent) throw new TideError('not_found', `There is no agent ${agentId} in this organization.`)
  const role = access.channels.get(`organization/${organizationId}`)
  const may = kind === 'agent' ? id === agentId : agent.owner === id || role === 'admin' || role === 'owner'
  if (!may)
    throw new TideError(
      'forbidden',
      `The ${kind} ${id} may not act as agent ${agentId}: that needs the agent itself, its owner, or an admin.`,
    )
  return [...access.channels].flatMap(([channel, held]) =>
    channel.startsWith('project/') && held !== 'viewer' ? [channel.slice('project/'.length)] : [],
  )
}
