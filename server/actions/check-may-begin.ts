import { TideError } from '../../protocol/error.ts'
import type { ActionContext } from './action.ts'

/** Asked only when nothing was claimed: most claims find the agent at work. Throws `agent_unavailable`. */
export async function checkMayBegin(
  { query }: ActionContext,
  agentId: string,
  instanceId: string | undefined,
): Promise<void> {
  const [asked] = await query<{ readonly refusal: string | null }>({
    name: 'action_claim_refusal',
    text: 'select sync.claim_refusal($1, $2) as refusal',
    values: [agentId, instanceId ?? null],
  })
  if (asked?.refusal) throw new TideError('agent_unavailable', asked.refusal)
}
