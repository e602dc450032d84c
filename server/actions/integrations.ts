import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { defineAction, type ActionContext } from './action.ts'
import { checkAdmin } from './check-admin.ts'

/**
 * Names the credential with which a webhook is signed: `{}`. The secret itself is stored by `tidewire credentials set`.
 */
export const secureWebhook = defineAction({
  name: 'webhooks.secure',
  input: z.strictObject({ webhookId: z.uuid(), credentialId: z.uuid() }),
  async run(context, { webhookId, credentialId }) {
    checkAdmin(context, 'give a webhook its secret')
    await checkCredential(context, credentialId, ['webhook_secret', 'signing_key'])
    const changed = await context.query({
      name: 'action_secure_webhook',
      text: 'update webhooks set secret_credential_id = $2 where id = $1 and organization_id = $3 and deleted_at is null returning id',
      values: [webhookId, credentialId, context.principal.organizationId],
    })
    if (changed.length === 0) throw new TideError('not_found', `There is no webhook ${webhookId} in this organization.`)
    return {}
  },
})

/** Turns an integration on or off, and names the credential with which its platform is asked: `{ status }`. */
export const configureIntegration = defineAction({
  name: 'integrations.configure',
  input: z.strictObject({
    integrationId: z.uuid(),
    status: z.enum(['active', 'paused', 'revoked']),
    credentialId: z.uuid().nullable().optional(),
  }),
  async run(context, { integrationId, status, credentialId }) {
    checkAdmin(context, 'configure an integration')
    if (typeof credentialId === 'string')
      await checkCredential(context, credentialId, ['api_key', 'oauth_token', 'bot_token'])
    const changed = await context.query({
      name: 'action_configure_integration',
      text: `update integrations set status = $2, error_count = 0, last_error = null, credential_id = case when $3 then $4 else credential_id end
        where id = $1 and organization_id = $5 and deleted_at is null returning id`,
      values: [
        integrationId,
        status,
        credentialId !== undefined,
        credentialId ?? null,
        context.principal.organizationId,
      ],
    })
    if (changed.length === 0)
      throw new TideError('not_found', `There is no integration ${integrationId} in this organization.`)
    if (status === 'active')
      await context.query({
        name: 'action_queue_issues',
        text: 'select sync.queue_issues_behind($1, true)',
        values: [integrationId],
      })
    return { status }
  },
})

async function checkCredential({ query }: ActionContext, id: string, kinds: readonly string[]): Promise<void> {
  const [credential] = await query<{ readonly kind: string | null }>({
    name: 'action_credential',
    text: 'select sync.credential_kind($1) as kind',
    values: [id],
  })
  if (!credential?.kind)
    throw new TideError('not_found', `The organization has no credential ${id}.`, {
      remedy: 'Store it with `npx tidewire credentials set`.',
    })
  if (!kinds.includes(credential.kind))
    throw new TideError(
      'invalid_value',
      `The credential ${id} is of kind ${credential.kind}; it must be ${kinds.join(' or ')}.`,
    )
}
