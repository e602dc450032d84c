import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import type { Random } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { storableJson, storableText } from '../../protocol/rows/storable-json.ts'
import type { Credentials } from '../credentials/credentials.ts'
import { readDelivery } from './payload.ts'
import { refuseSignature, type Provider, type Sent } from './signatures.ts'

/** What the platform is answered, and whether there is something new to do. */
export interface Received {
  readonly body: Json
  readonly outcome: 'stored' | 'repeated' | 'ignored' | 'challenge'
}

export interface InboundDeps {
  readonly pool: pg.Pool
  readonly credentials: Credentials
  readonly clock: Clock
  readonly random: Random
}

/** An endpoint that is there and active. */
export interface Endpoint {
  readonly id: string
  readonly organization: string
  readonly integration: string
  readonly project: string | null
  readonly provider: Provider
  readonly secret: string | null
  readonly types: readonly string[]
}

const endpointSql = `
select w.id, w.organization_id as organization, w.integration_id as integration, i.project_id as project, i.provider,
  w.secret_credential_id as secret, w.event_types as types
from webhooks w join integrations i on i.id = w.integration_id join organizations o on o.id = w.organization_id
where w.endpoint_key = $1 and w.direction = 'inbound' and w.is_active and w.deleted_at is null
  and i.deleted_at is null and i.status in ('pending', 'active', 'error') and o.status = 'active'`

/** In one statement: a delivery that was taken before leaves nothing. */
const storeSql = `
with taken as (
  insert into sync.webhook_deliveries (webhook_id, external_id) values ($1, $2) on conflict do nothing returning webhook_id
), stored as (
  insert into integration_events (id, occurred_at, organization_id, integration_id, webhook_id, project_id, provider, event_type, external_id, payload, signature_valid)
  select $3, $4, $5, $6, $1, $7, $8, $9, $2, $10, true from taken returning id, occurred_at, integration_id
)
insert into sync.integration_queue (event_id, event_at, integration_id, direction) select id, occurred_at, integration_id, 'inbound' from stored`

/** Where webhooks come in. */
export interface Inbound {
  /** Throws `not_found` for an endpoint that there is not. */
  find(endpointKey: string): Promise<Endpoint>
  /**
   * Takes a webhook. Throws `signature_invalid` when the sender cannot be who the endpoint is for (then nothing is
   * stored), `bad_message`, and what reading the secret throws.
   */
  take(endpoint: Endpoint, sent: Omit<Sent, 'now'>): Promise<Received>
}

export function createInbound({ pool, credentials, clock, random }: InboundDeps): Inbound {
  const newId = createUuidSource(clock, random)
  const find = async (endpointKey: string): Promise<Endpoint> => {
    const { rows } = await pool.query<Endpoint>({ name: 'webhook_endpoint', text: endpointSql, values: [endpointKey] })
    const [endpoint] = rows
    if (!endpoint)
      throw new TideError('not_found', 'There is no such webhook endpoint.', {
        remedy:
          'Compare the address with `endpointKey` of the webhook, and see that webhook and integration are active.',
      })
    return endpoint
  }
  const take = async (endpoint: Endpoint, { headers, body }: Omit<Sent, 'now'>): Promise<Received> => {
    if (endpoint.secret === null)
      throw new TideError('signature_invalid', 'The webhook endpoint has no secret yet.', {
        remedy: 'Give it one with the action webhooks.secure.',
      })
    const { secret } = await credentials.readById(endpoint.organization, endpoint.secret)
    const sent = { headers, body, now: clock.now() }
    const wrong = refuseSignature(endpoint.provider, secret, sent)
    if (wrong !== undefined) throw new TideError('signature_invalid', `The webhook is refused: ${wrong}.`)
    const { eventType, externalId, payload } = readDelivery(endpoint.provider, sent)
    // Slack asks whether the address is meant for it.
    if (endpoint.provider === 'slack' && eventType === 'url_verification')
      return { body: { challenge: payload['challenge'] ?? null }, outcome: 'challenge' }
    const { types } = endpoint
    if (types.length > 0 && !types.some((type) => eventType === type || eventType.startsWith(`${type}.`)))
      return { body: { ok: true }, outcome: 'ignored' }
    const { rowCount } = await pool.query({
      name: 'webhook_store',
      text: storeSql,
      values: [
        endpoint.id,
        storableText(externalId),
        newId(),
        new Date(clock.now()),
        endpoint.organization,
        endpoint.integration,
        endpoint.project,
        endpoint.provider,
        storableText(eventType),
        storableJson(payload),
      ],
    })
    return { body: { ok: true }, outcome: rowCount === 1 ? 'stored' : 'repeated' }
  }
  return { find, take }
}
