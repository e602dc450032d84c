// Issues of platforms that are linked to tasks, both ways through a whole server; the platforms are servers on the
// loopback.
import { describe, expect, test } from 'vitest'
import { letter, useWebhooks } from './use-webhooks.ts'

const on = useWebhooks()
const { add, query, read, store, endpoint, send, settled } = on

describe('an issue that is linked to a task', () => {
  test('updates it, and is updated by it, and neither comes back as an echo', async () => {
    const { integration, path } = await endpoint('github')
    await query(`update integrations set sync_settings = $2 where id = $1`, [integration, { apiUrl: on.platform.url }])
    await on.owner.call('integrations.configure', {
      integrationId: integration,
      status: 'active',
      credentialId: await store('api_key', 'ghp_x'),
    })
    const task = await on.owner.tasks.insert({ projectId: on.test.fixture.projectId, title: 'Old' })
    await task.$write.wait('synced')
    await add('external_links', {
      integration_id: integration,
      local_type: 'task',
      local_id: task.id,
      external_type: 'issue',
      external_id: '42',
    })
    const before = on.platform.seen.length
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
      .poll(() => on.owner.tasks.get(task.id), { timeout: 60_000 })
      .toMatchObject({ title: 'New', description: 'Text', status: 'completed' })
    expect(on.platform.seen.slice(before)).toEqual([])

    await (await on.owner.tasks.update(task.id, { title: 'Newest', status: 'pending' })).wait('synced')
    await expect
      .poll(() => on.platform.seen.slice(before), { timeout: 60_000 })
      .toMatchObject([
        {
          method: 'PATCH',
          path: '/repos/acme/app/issues/42',
          headers: { authorization: 'Bearer ghp_x' },
          body: { title: 'Newest', state: 'open' },
        },
      ])

    // What is edited while the integration is paused is told when it goes on.
    const bodies = () => on.platform.seen.slice(before + 1).map(({ body }) => body)
    const edit = async (title: string) => (await on.owner.tasks.update(task.id, { title })).wait('synced')
    await settled(integration)
    await on.owner.call('integrations.configure', { integrationId: integration, status: 'paused' })
    await edit('Paused')
    await edit('While paused')
    await settled(integration)
    expect(bodies()).toEqual([])
    await on.owner.call('integrations.configure', { integrationId: integration, status: 'active' })
    await expect.poll(bodies, { timeout: 60_000 }).toEqual([{ title: 'While paused' }])
    await settled(integration)

    // Both sides change the title: the task's is told, and the issue's is settled for by a client.
    on.platform.status = 500
    await edit('Ours')
    await send(path, issue('edited', { title: 'Theirs', state: 'open', updated_at: '2026-02-01T00:00:00Z' }))
    const conflicts = () => on.owner.conflicts.find({ where: { status: 'open', rowId: task.id } })
    await expect
      .poll(conflicts, { timeout: 60_000 })
      .toMatchObject([{ kind: 'field', mine: { title: 'Theirs' }, theirs: { title: 'Ours' } }])
    on.platform.status = 200
    await query(`update sync.integration_queue set due_at = now() where integration_id = $1`, [integration])
    await settled(integration)
    expect(bodies().at(-1)).toEqual({ title: 'Ours' })
    const [conflict] = await conflicts()
    await (await on.owner.conflicts.resolve(conflict?.id ?? '', 'client')).wait('synced')
    await expect.poll(() => bodies().at(-1), { timeout: 60_000 }).toEqual({ title: 'Theirs' })
    expect(await on.owner.tasks.get(task.id)).toMatchObject({ title: 'Theirs', $sync: { status: 'synced' } })
    expect(await conflicts()).toEqual([])
  })
})

describe('a task that is linked to an issue of Linear', () => {
  test('is updated by it, and updates it in the state that is named for its status, and neither comes back as an echo', async () => {
    const { integration, path } = await endpoint('linear')
    const settings = { apiUrl: on.platform.url, states: { completed: 'state-done', pending: 'state-todo' } }
    await query('update integrations set sync_settings = $2 where id = $1', [integration, settings])
    const credentialId = await store('api_key', 'lin_api_x')
    await on.owner.call('integrations.configure', { integrationId: integration, status: 'active', credentialId })
    const task = await on.owner.tasks.insert({ projectId: on.test.fixture.projectId, title: 'Old' })
    await task.$write.wait('synced')
    const link = { integration_id: integration, local_type: 'task', local_id: task.id, external_type: 'issue' }
    await add('external_links', { ...link, external_id: 'issue-uuid' })
    const asked = () => on.platform.seen.filter((one) => one.path === '/graphql')
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
      .poll(() => on.owner.tasks.get(task.id), { timeout: 60_000 })
      .toMatchObject({ title: 'New', description: 'Text', status: 'completed' })
    expect(asked()).toEqual([])

    // What the platform is told now has nothing before it: an echo would have come first.
    const told = (input: Readonly<Record<string, string>>) => ({
      method: 'POST',
      headers: { authorization: 'lin_api_x' },
      body: { variables: { id: 'issue-uuid', input } },
    })
    await (await on.owner.tasks.update(task.id, { title: 'Newest', status: 'pending' })).wait('synced')
    await expect.poll(asked, { timeout: 60_000 }).toMatchObject([told({ title: 'Newest', stateId: 'state-todo' })])
    await (await on.owner.tasks.update(task.id, { status: 'completed' })).wait('synced')
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
