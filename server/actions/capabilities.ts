import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { defineAction } from './action.ts'
import { checkAdmin } from './check-admin.ts'
import { isoTime } from './iso-time.ts'

/**
 * An admin vouches for a capability of an agent, or takes that back: `{ verifiedAt }`. Runs that prove it say so by
 * themselves.
 */
export const verifyCapability = defineAction({
  name: 'capabilities.verify',
  input: z.strictObject({ capabilityId: z.uuid(), verified: z.boolean().default(true) }),
  async run(context, { capabilityId, verified }) {
    checkAdmin(context, 'vouch for a capability of an agent')
    const [changed] = await context.query<{ readonly at: string | null }>({
      name: 'action_verify_capability',
      text: `
        update agent_capabilities set verified_at = case when $3 then date_trunc('milliseconds', now()) end
        where id = $1 and organization_id = $2 and deleted_at is null
        returning ${isoTime('verified_at')} as at`,
      values: [capabilityId, context.principal.organizationId, verified],
    })
    if (!changed) throw new TideError('not_found', `There is no capability ${capabilityId} in this organization.`)
    return { verifiedAt: changed.at }
  },
})
