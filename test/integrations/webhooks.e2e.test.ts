// Webhooks that come and go through a whole server; the platforms are servers on the loopback.
import { createHmac, randomBytes } from 'node:crypto'
import { createServer as createHttpServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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

const secret = 'a secret of the webhook'

interface Seen {
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

const providerColumns: Readonly<Record<string, SqlRow>> = {
  github: { repository_owner: 'acme', repository_name: 'app' },
  linear: { external_team_id: 'T' },
  slack: { external_workspace_id: 'W' },
  generic: {},
}

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

const sign = (text: string): string => createHmac('sha256', secret).update(text).digest('hex')

interface Letter {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}
function letter(
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

describe.each([
  ['github', { action: 'opened', issue: { number: 1, title: 'T', state: 'open' } }, 'issues.opened'],
  ['linear', { type: 'Issue', action: 'create', data: { id: 'lin', title: 'T' } }, 'Issue.create'],
  ['slack', { type: 'event_callback', event: { type: 'app_mention', text: 'hi' } }, 'app_mention'],
])('a webhook of %s', (provider, payload, type) => {
  it('is stored and dealt with once, however often it comes', async () => {
    const { integration, path } = await endpoint(provider)
    const one = letter(provider, payload)
    const answers = await Promise.all([1, 2, 3].map(() => send(path, one)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    await settled(integration)
    expect(await send(path, one)).toMatchObject({ status: 200 })
    await settled(integration)
    expect(await stored(integration)).toEqual([{ event_type: type, status: 'processed', attempts: 1 }])
    expect(await query('select type from events where subject_id = $1', [integration])).toEqual([
      { type: `${provider}.${type}` },
    ])
  })

  it('with a wrong signature is refused, and nothing is stored', async () => {
    const { integration, path } = await endpoint(provider)
    const { headers, body } = letter(provider, payload)
    for (const wrong of [
      { headers, body: `${body} ` },
      { headers: {}, body },
    ])
      expect(await send(path, wrong)).toMatchObject({ status: 401, body: { error: { code: 'signature_invalid' } } })
    expect(await stored(integration)).toEqual([])
    expect(
      await query(
        'select 1 from sync.webhook_deliveries d join webhooks w on w.id = d.webhook_id where w.integration_id = $1',
        [integration],
      ),
    ).toEqual([])
  })
})

describe('the endpoint', () => {
  it('is not there for those who guess, or while its integration is paused', async () => {
    const { integration, path } = await endpoint('github')
    const one = letter('github', { action: 'opened' })
    expect(await send('/webhooks/0123456789abcdef0123', one)).toMatchObject({ status: 404 })
    await owner.call('integrations.configure', { integrationId: integration, status: 'paused' })
    expect(await send(path, one)).toMatchObject({ status: 404 })
  })

  it('takes text that PostgreSQL cannot store, and text that only looks like it', async () => {
    const { integration, path } = await endpoint('slack')
    const event = { type: 'app_mention', text: String.raw`\u0000 \ud800`, more: 'a\u0000b\ud800' }
    const one = letter('slack', { type: 'event_callback', event }, '', 'a\u0000\ud800')
    expect([await send(path, one), await send(path, one)]).toMatchObject([{ status: 200 }, { status: 200 }])
    expect(await send(path, letter('slack', { type: 'a\u0000b' }))).toMatchObject({ status: 200 })
    await settled(integration)
    const rows = await query(
      `select event_type, external_id, payload->'event' as event from integration_events where integration_id = $1 and direction = 'inbound' order by occurred_at, id`,
      [integration],
    )
    expect(rows).toMatchObject([
      {
        event_type: 'app_mention',
        external_id: 'a\ufffd\ufffd',
        event: { text: String.raw`\u0000 \ud800`, more: 'a\ufffdb\ufffd' },
      },
      { event_type: 'a\ufffdb' },
    ])
  })

  it('takes no body that is too large', async () => {
    const { path } = await endpoint('github')
    expect(await send(path, { headers: {}, body: 'x'.repeat(1024 * 1024 + 1) })).toMatchObject({ status: 413 })
  })

  it('answers the question of Slack, when that is signed', async () => {
    const { path } = await endpoint('slack')
    expect(await send(path, letter('slack', { type: 'url_verification', challenge: 'c' }))).toMatchObject({
      status: 200,
      body: { challenge: 'c' },
    })
  })
})

describe('an issue that is linked to a task', () => {
  it('updates it, and is updated by it, and neither comes back as an echo', async () => {
    const { integration, path } = await endpoint('github')
    await query(`update integrations set sync_settings = $2 where id = $1`, [integration, { apiUrl: platform.url }])
    await owner.call('integrations.configure', {
      integrationId: integration,
      status: 'active',
      credentialId: await store('api_key', 'ghp_x'),
    })
    const task = await owner.tasks.insert({ projectId: test.fixture.projectId, title: 'Old' })
    await task.$write.wait('synced')
    await add('external_links', {
      integration_id: integration,
      local_type: 'task',
      local_id: task.id,
      external_type: 'issue',
      external_id: '42',
    })
    const before = platform.seen.length
    const issue = (action: string, values: Readonly<Record<string, unknown>>) =>
      letter('github', { action, issue: { number: 42, ...values } })
    await send(path, issue('edited', { title: 'New', body: 'Text', state: 'open', updated_at: '2026-01-02T00:00:00Z' }))
    await send(
      path,
      issue('closed', { title: 'New', body: 'Text', state: 'closed', updated_at: '2026-01-03T00:00:00Z' }),
    )
    // Older than what is known.
    await send(path, issue('edited', { title: 'Stale', state: 'open', updated_at: '2026-01-01T00:00:00Z' }))
    await settled(integration)
    await expect
      .poll(() => owner.tasks.get(task.id), { timeout: 60_000 })
      .toMatchObject({ title: 'New', description: 'Text', status: 'completed' })
    expect(platform.seen.slice(before)).toEqual([])

    await (await owner.tasks.update(task.id, { title: 'Newest', status: 'pending' })).wait('synced')
    await expect
      .poll(() => platform.seen.slice(before), { timeout: 60_000 })
      .toMatchObject([
        {
          method: 'PATCH',
          path: '/repos/acme/app/issues/42',
          headers: { authorization: 'Bearer ghp_x' },
          body: { title: 'Newest', state: 'open' },
        },
      ])

    // What is edited while the integration is paused is told when it goes on.
    const bodies = () => platform.seen.slice(before + 1).map(({ body }) => body)
    const edit = async (title: string) => (await owner.tasks.update(task.id, { title })).wait('synced')
    await settled(integration)
    await owner.call('integrations.configure', { integrationId: integration, status: 'paused' })
    await edit('Paused')
    await edit('While paused')
    await settled(integration)
    expect(bodies()).toEqual([])
    await owner.call('integrations.configure', { integrationId: integration, status: 'active' })
    await expect.poll(bodies, { timeout: 60_000 }).toEqual([{ title: 'While paused' }])
    await settled(integration)

    // Both sides change the title: the task's is told, and the issue's is settled for by a client.
    platform.status = 500
    await edit('Ours')
    await send(path, issue('edited', { title: 'Theirs', state: 'open', updated_at: '2026-02-01T00:00:00Z' }))
    const conflicts = () => owner.conflicts.find({ where: { status: 'open', rowId: task.id } })
    await expect
      .poll(conflicts, { timeout: 60_000 })
      .toMatchObject([{ kind: 'field', mine: { title: 'Theirs' }, theirs: { title: 'Ours' } }])
    platform.status = 200
    await query(`update sync.integration_queue set due_at = now() where integration_id = $1`, [integration])
    await settled(integration)
    expect(bodies().at(-1)).toEqual({ title: 'Ours' })
    const [conflict] = await conflicts()
    await (await owner.conflicts.resolve(conflict?.id ?? '', 'client')).wait('synced')
    await expect.poll(() => bodies().at(-1), { timeout: 60_000 }).toEqual({ title: 'Theirs' })
    expect(await owner.tasks.get(task.id)).toMatchObject({ title: 'Theirs', $sync: { status: 'synced' } })
    expect(await conflicts()).toEqual([])
  })
})

describe('a task that is linked to an issue of Linear', () => {
  it('is updated by it, and updates it in the state that is named for its status, and neither comes back as an echo', async () => {
    const { integration, path } = await endpoint('linear')
    const settings = { apiUrl: platform.url, states: { completed: 'state-done', pending: 'state-todo' } }
    await query('update integrations set sync_settings = $2 where id = $1', [integration, settings])
    const credentialId = await store('api_key', 'lin_api_x')
    await owner.call('integrations.configure', { integrationId: integration, status: 'active', credentialId })
    const task = await owner.tasks.insert({ projectId: test.fixture.projectId, title: 'Old' })
    await task.$write.wait('synced')
    const link = { integration_id: integration, local_type: 'task', local_id: task.id, external_type: 'issue' }
    await add('external_links', { ...link, external_id: 'issue-uuid' })
    const asked = () => platform.seen.filter((one) => one.path === '/graphql')
    const issue = (updatedAt: string, type: string, title: string) =>
      letter('linear', {
        type: 'Issue',
        action: 'update',
        data: { id: 'issue-uuid', title, description: 'Text', state: { type }, updatedAt },
      })
    await send(path, issue('2026-01-02T00:00:00Z', 'started', 'New'))
    await send(path, issue('2026-01-03T00:00:00Z', 'completed', 'New'))
    // Older than what is known.
    await send(path, issue('2026-01-01T00:00:00Z', 'started', 'Stale'))
    await settled(integration)
    await expect
      .poll(() => owner.tasks.get(task.id), { timeout: 60_000 })
      .toMatchObject({ title: 'New', description: 'Text', status: 'completed' })
    expect(asked()).toEqual([])

    // What the platform is told now has nothing before it: an echo would have come first.
    const told = (input: Readonly<Record<string, string>>) => ({
      method: 'POST',
      headers: { authorization: 'lin_api_x' },
      body: { variables: { id: 'issue-uuid', input } },
    })
    await (await owner.tasks.update(task.id, { title: 'Newest', status: 'pending' })).wait('synced')
    await expect.poll(asked, { timeout: 60_000 }).toMatchObject([told({ title: 'Newest', stateId: 'state-todo' })])
    await (await owner.tasks.update(task.id, { status: 'completed' })).wait('synced')
    await expect
      .poll(asked, { timeout: 60_000 })
      .toMatchObject([told({ title: 'Newest', stateId: 'state-todo' }), told({ stateId: 'state-done' })])
    // Nor does the platform's word of what it was told change anything.
    const { version } = await read('tasks', task.id)
    await send(path, issue('2026-01-04T00:00:00Z', 'completed', 'Newest'))
    await settled(integration)
    expect(await read('tasks', task.id)).toMatchObject({ title: 'Newest', status: 'completed', version })
    expect(asked()).toHaveLength(2)
  })
})

describe('a push to GitHub', () => {
  it('starts the pipelines of its repository, for the branches that they are for', async () => {
    const { integration, path } = await endpoint('github')
    const inProject = { project_id: test.fixture.projectId }
    const { id: repository_id } = await add('repositories', { ...inProject, owner: 'acme', name: 'app' })
    const pipeline = { ...inProject, repository_id, trigger_kind: 'push' }
    const { id: main } = await add('pipelines', { ...pipeline, name: 'main', trigger_config: { branches: ['main'] } })
    const { id: any } = await add('pipelines', { ...pipeline, name: 'any' })
    await add('pipelines', { ...pipeline, name: 'manual', trigger_kind: 'manual' })
    const push = (ref: string, after: string, more: Readonly<Record<string, unknown>> = {}) =>
      send(path, letter('github', { ref, after, repository: { full_name: 'acme/app' }, ...more }, 'push'))
    await push('refs/heads/main', 'aaa')
    await push('refs/heads/other', 'bbb')
    await push('refs/heads/gone', 'ccc')
    await push('refs/heads/gone', '000', { deleted: true })
    // What is told of branches: a rule for those that are there and those that come, a pull request, and a task by the name of its branch.
    const repository = { full_name: 'acme/app', language: 'TypeScript' }
    const rule = (action: string) =>
      letter('github', { action, rule: { id: 1, name: 'release/*' }, repository }, 'branch_protection_rule')
    await send(path, rule('created'))
    const task = await add('tasks', { ...inProject, title: 'T' })
    const link = { integration_id: integration, local_type: 'task', local_id: task.id, external_type: 'issue' }
    await add('external_links', { ...link, external_id: '77' })
    await push('refs/heads/release/1', 'ddd', { repository })
    const head = { ref: '77-fix', sha: 'eee', repo: { full_name: 'acme/app' } }
    await send(
      path,
      letter('github', { action: 'opened', pull_request: { head, commits: 3 }, repository }, 'pull_request'),
    )
    await settled(integration)
    const told = () =>
      query(
        `select name, is_protected, ahead_by, behind_by, task_id from repository_branches
         where repository_id = $1 and name in ('release/1', '77-fix') order by name`,
        [repository_id],
      )
    const fix = { name: '77-fix', is_protected: false, ahead_by: 3, behind_by: 0, task_id: task.id }
    const release = { name: 'release/1', ahead_by: 0, behind_by: 0, task_id: null }
    expect(await told()).toEqual([fix, { ...release, is_protected: true }])
    await send(path, rule('deleted'))
    await settled(integration)
    expect(await told()).toEqual([fix, { ...release, is_protected: false }])
    expect(await read('repositories', repository_id)).toMatchObject({ language_stats: { primary: 'TypeScript' } })
    await query(`delete from repository_branches where name in ('release/1', '77-fix')`)
    await query(`delete from pipeline_executions where branch in ('release/1', '77-fix')`)
    expect(
      await query(
        'select name, head_sha as sha, status from repository_branches where repository_id = $1 order by name',
        [repository_id],
      ),
    ).toEqual([
      { name: 'gone', sha: 'ccc', status: 'deleted' },
      { name: 'main', sha: 'aaa', status: 'active' },
      { name: 'other', sha: 'bbb', status: 'active' },
    ])
    const runs = await query(
      `select e.pipeline_id as pipeline, e.branch, e.commit_sha as sha, e.trigger_kind as trigger from pipeline_executions e
       join pipelines p on p.id = e.pipeline_id where p.repository_id = $1 order by e.commit_sha, p.name`,
      [repository_id],
    )
    expect(runs).toEqual([
      { pipeline: any, branch: 'main', sha: 'aaa', trigger: 'push' },
      { pipeline: main, branch: 'main', sha: 'aaa', trigger: 'push' },
      { pipeline: any, branch: 'other', sha: 'bbb', trigger: 'push' },
      { pipeline: any, branch: 'gone', sha: 'ccc', trigger: 'push' },
    ])
  })
})

describe('an outgoing webhook', () => {
  async function outgoing(maxAttempts = 5) {
    const { id: integration } = await add('integrations', {
      provider: 'generic',
      name: newId(),
      project_id: test.fixture.projectId,
      status: 'active',
    })
    const { id: webhookId } = await add('webhooks', {
      integration_id: integration,
      direction: 'outbound',
      name: 'out',
      url: `${platform.url}/${integration}`,
    })
    await owner.call('webhooks.secure', { webhookId, credentialId: await store('webhook_secret', secret) })
    const type = newId()
    const { subscriptionId } = await owner.call('events.subscribe', {
      name: newId(),
      webhookId,
      type,
      retryPolicy: { delaySeconds: 0, maxAttempts },
    })
    const publish = (n: number) =>
      add('events', { source: 'test', type, project_id: test.fixture.projectId, event_data: { n } })
    const got = () => platform.seen.filter(({ path }) => path === `/${integration}`)
    return { subscriptionId, publish, got }
  }
  const numbers = (seen: readonly Seen[]) => seen.map(({ body }) => (body['event'] as { data: { n: number } }).data.n)

  it('is signed, and delivered in order', async () => {
    const { publish, got } = await outgoing()
    for (const n of [1, 2, 3]) await publish(n)
    await expect.poll(() => numbers(got()), { timeout: 60_000 }).toEqual([1, 2, 3])
    for (const { headers, body } of got()) {
      const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${JSON.stringify(body)}`
      expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', secret).update(signed).digest('base64')}`)
    }
  })

  it('is tried again, no later event before it, and given up when nobody takes it', async () => {
    const { subscriptionId, publish, got } = await outgoing(3)
    platform.status = 503
    try {
      for (const n of [1, 2]) await publish(n)
      await expect
        .poll(() => read('event_subscriptions', subscriptionId), { timeout: 60_000 })
        .toMatchObject({
          status: 'failed',
          failure_count: 3,
          last_error: 'The webhook answered 503.',
        })
      expect(numbers(got())).toEqual([1, 1, 1])
    } finally {
      platform.status = 200
    }
    await owner.call('events.resume', { subscriptionId })
    await expect.poll(() => numbers(got()), { timeout: 60_000 }).toEqual([1, 1, 1, 1, 2])
  })

  it('gets replays flagged, and its cursor stays', async () => {
    const { subscriptionId, publish, got } = await outgoing()
    const { seq } = await publish(1)
    await expect.poll(() => numbers(got()), { timeout: 60_000 }).toEqual([1])
    const { replayId } = await owner.call('events.replay', { subscriptionId, fromSeq: Number(seq) })
    await expect
      .poll(() => read('event_replays', replayId), { timeout: 60_000 })
      .toMatchObject({ status: 'completed', events_replayed: '1' })
    expect(got().map(({ body }) => (body['event'] as { replay: boolean }).replay)).toEqual([false, true])
  })
})
