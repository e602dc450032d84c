import { createHmac, randomBytes } from 'node:crypto'
import { createServer as createHttpServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect } from 'vitest'
import { connect, type Client } from '@tidewire/client'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import {
  createCipher,
  createCredentials,
  type CredentialKind,
  type Credentials,
} from '../../server/credentials/credentials.ts'
import { insert, rowOf, type SqlRow } from '../migrations/rows.ts'
import { newId } from '../support/fixtures.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

export const secret = 'a secret of the webhook'

export interface Seen {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: Record<string, unknown>
}

/** A platform: remembers what it was asked, and answers as told. */
async function openPlatform() {
  const seen: Seen[] = []
  const platform = {
    seen,
    status: 200,
    url: '',
    close: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  }
  const server = createHttpServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      seen.push({
        method: request.method,
        path: request.url,
        headers: request.headers,
        body: JSON.parse(Buffer.concat(chunks).toString()) as Seen['body'],
      })
      response.writeHead(platform.status).end('{}')
    })
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  platform.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return platform
}

const providerColumns: Readonly<Record<string, SqlRow>> = {
  github: { repository_owner: 'acme', repository_name: 'app' },
  linear: { external_team_id: 'T' },
  slack: { external_workspace_id: 'W' },
  generic: {},
}

const sign = (text: string): string => createHmac('sha256', secret).update(text).digest('hex')

interface Letter {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}
export function letter(
  provider: string,
  payload: Readonly<Record<string, unknown>>,
  event = 'issues',
  id: string = newId(),
): Letter {
  const seconds = String(Math.floor(Date.now() / 1000))
  const body = JSON.stringify(
    provider === 'linear'
      ? { ...payload, webhookTimestamp: Date.now() }
      : provider === 'slack'
        ? { ...payload, event_id: id }
        : payload,
  )
  switch (provider) {
    case 'github':
      return {
        body,
        headers: { 'x-github-event': event, 'x-github-delivery': id, 'x-hub-signature-256': `sha256=${sign(body)}` },
      }
    case 'linear':
      return { body, headers: { 'linear-delivery': id, 'linear-signature': sign(body) } }
    default:
      return {
        body,
        headers: { 'x-slack-request-timestamp': seconds, 'x-slack-signature': `v0=${sign(`v0:${seconds}:${body}`)}` },
      }
  }
}
/** A server, a platform on the loopback, and the owner's client, for the tests of a file. */
export function useWebhooks() {
  let test: TestServer
  let credentials: Credentials
  let platform: Awaited<ReturnType<typeof openPlatform>>
  let owner: Client

  beforeAll(async () => {
    const key = { id: 'k1', key: randomBytes(32) }
    test = await startTestServer({ config: { encryptionKeys: [key], webhookPrivateTargets: true } })
    credentials = createCredentials({
      pool: test.server.database.pool,
      cipher: createCipher([key], systemRandom),
      clock: systemClock,
      random: systemRandom,
    })
    platform = await openPlatform()
    owner = await connect({
      url: test.url,
      token: await test.userToken(test.fixture.ownerId),
      replica: { kind: 'memory' },
      device: { name: 'owner', kind: 'cli' },
    })
    await (
      await owner.subscribe({ project: test.fixture.projectId })
    ).ready
  })
  afterAll(async () => {
    await owner?.close()
    await test?.close()
    await platform?.close()
  })

  const add = (table: string, values: SqlRow) =>
    insert(test.server.database.pool, table, { organization_id: test.fixture.organizationId, ...values })
  const query = async (text: string, values: readonly unknown[] = []): Promise<readonly SqlRow[]> =>
    (await test.server.database.pool.query(text, [...values])).rows
  const read = (table: string, id: string) => rowOf(test.server.database.pool, table, id)
  const store = (kind: CredentialKind, value: string) =>
    credentials.store(
      { organizationId: test.fixture.organizationId, userId: null, provider: 'test', kind, label: newId() },
      { secret: value },
    )

  /** An integration with an inbound endpoint, made by an admin as any client would. */
  async function endpoint(provider: string) {
    const { id: integration } = await add('integrations', {
      provider,
      name: newId(),
      project_id: test.fixture.projectId,
      ...providerColumns[provider],
    })
    const webhook = await owner.webhooks.insert({ integrationId: integration, direction: 'inbound', name: 'in' })
    await webhook.$write.wait('synced')
    await owner.call('webhooks.secure', { webhookId: webhook.id, credentialId: await store('webhook_secret', secret) })
    await owner.call('integrations.configure', { integrationId: integration, status: 'active' })
    const { endpoint_key: key } = await read('webhooks', webhook.id)
    expect((await owner.webhooks.get(webhook.id))?.endpointKey).toBe(key)
    return { integration, webhook: webhook.id, path: `/webhooks/${String(key)}` }
  }

  async function send(path: string, { headers, body }: Letter) {
    const response = await fetch(`${test.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  const stored = (integration: string) =>
    query(
      'select event_type, status, attempts from integration_events where integration_id = $1 and direction = $2 order by occurred_at, id',
      [integration, 'inbound'],
    )
  const settled = async (integration: string) => {
    await expect
      .poll(() => query('select 1 from sync.integration_queue where integration_id = $1', [integration]), {
        timeout: 60_000,
      })
      .toEqual([])
  }
  return {
    get test(): TestServer {
      return test
    },
    get platform() {
      return platform
    },
    get owner(): Client {
      return owner
    },
    add,
    query,
    read,
    store,
    endpoint,
    send,
    stored,
    settled,
  }
}
