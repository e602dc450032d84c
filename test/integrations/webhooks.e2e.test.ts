// Webhooks that come and go through a whole server; the platforms are servers on the loopback.
import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { newId } from '../support/fixtures.ts'
import { letter, secret, useWebhooks, type Seen } from './use-webhooks.ts'

const on = useWebhooks()
const { add, query, read, store, endpoint, send, stored, settled } = on

describe.each([
  ['github', { action: 'opened', issue: { number: 1, title: 'T', state: 'open' } }, 'issues.opened'],
  ['linear', { type: 'Issue', action: 'create', data: { id: 'lin', title: 'T' } }, 'Issue.create'],
  ['slack', { type: 'event_callback', event: { type: 'app_mention', text: 'hi' } }, 'app_mention'],
])('a webhook of %s', (provider, payload, type) => {
  test('is stored and dealt with once, however often it comes', async () => {
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

  test('with a wrong signature is refused, and nothing is stored', async () => {
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
  test('is not there for those who guess, or while its integration is paused', async () => {
    const { integration, path } = await endpoint('github')
    const one = letter('github', { action: 'opened' })
    expect(await send('/webhooks/0123456789abcdef0123', one)).toMatchObject({ status: 404 })
    await on.owner.call('integrations.configure', { integrationId: integration, status: 'paused' })
    expect(await send(path, one)).toMatchObject({ status: 404 })
  })

  test('takes text that PostgreSQL cannot store, and text that only looks like it', async () => {
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

  test('takes no body that is too large', async () => {
    const { path } = await endpoint('github')
    expect(await send(path, { headers: {}, body: 'x'.repeat(1024 * 1024 + 1) })).toMatchObject({ status: 413 })
  })

  test('answers the question of Slack, when that is signed', async () => {
    const { path } = await endpoint('slack')
    expect(await send(path, letter('slack', { type: 'url_verification', challenge: 'c' }))).toMatchObject({
      status: 200,
      body: { challenge: 'c' },
    })
  })
})

describe('a push to GitHub', () => {
  test('starts the pipelines of its repository, for the branches that they are for', async () => {
    const { integration, path } = await endpoint('github')
    const inProject = { project_id: on.test.fixture.projectId }
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
    // What is told of branches: a rule for those that are there and those that come, a pull request, and a task by the
    // name of its branch.
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
      project_id: on.test.fixture.projectId,
      status: 'active',
    })
    const { id: webhookId } = await add('webhooks', {
      integration_id: integration,
      direction: 'outbound',
      name: 'out',
      url: `${on.platform.url}/${integration}`,
    })
    await on.owner.call('webhooks.secure', { webhookId, credentialId: await store('webhook_secret', secret) })
    const type = newId()
    const { subscriptionId } = await on.owner.call('events.subscribe', {
      name: newId(),
      webhookId,
      type,
      retryPolicy: { delaySeconds: 0, maxAttempts },
    })
    const publish = (n: number) =>
      add('events', { source: 'test', type, project_id: on.test.fixture.projectId, event_data: { n } })
    const got = () => on.platform.seen.filter(({ path }) => path === `/${integration}`)
    return { subscriptionId, publish, got }
  }
  const numbers = (seen: readonly Seen[]) => seen.map(({ body }) => (body['event'] as { data: { n: number } }).data.n)

  test('is signed, and delivered in order', async () => {
    const { publish, got } = await outgoing()
    for (const n of [1, 2, 3]) await publish(n)
    await expect.poll(() => numbers(got()), { timeout: 60_000 }).toEqual([1, 2, 3])
    for (const { headers, body } of got()) {
      const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${JSON.stringify(body)}`
      expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', secret).update(signed).digest('base64')}`)
    }
  })

  test('is tried again, no later event before it, and given up when nobody takes it', async () => {
    const { subscriptionId, publish, got } = await outgoing(3)
    on.platform.status = 503
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
      on.platform.status = 200
    }
    await on.owner.call('events.resume', { subscriptionId })
    await expect.poll(() => numbers(got()), { timeout: 60_000 }).toEqual([1, 1, 1, 1, 2])
  })

  test('gets replays flagged, and its cursor stays', async () => {
    const { subscriptionId, publish, got } = await outgoing()
    const { seq } = await publish(1)
    await expect.poll(() => numbers(got()), { timeout: 60_000 }).toEqual([1])
    const { replayId } = await on.owner.call('events.replay', { subscriptionId, fromSeq: Number(seq) })
    await expect
      .poll(() => read('event_replays', replayId), { timeout: 60_000 })
      .toMatchObject({ status: 'completed', events_replayed: '1' })
    expect(got().map(({ body }) => (body['event'] as { replay: boolean }).replay)).toEqual([false, true])
  })
})
