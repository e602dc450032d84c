import { beforeEach, describe, expect, test } from 'vitest'
import type { SqlRow } from '../migrations/rows.ts'
import { useClaims } from './claims-world.ts'

const on = useClaims()
const { claim, claimAsSecond, sweep, taskOf } = on

describe('instances', () => {
  const start = (values: SqlRow = {}) =>
    on.world.add('agent_instances', { agent_id: on.world.fixture.agentId, status: 'idle', ...values })
  const statusOfAgent = async () => (await on.world.read('agents', on.world.fixture.agentId))['status']
  beforeEach(() => on.world.query('delete from agent_instances'))

  test('make their agent online, busy and offline, and each change is an event', async () => {
    await on.world.query('delete from agent_events')
    const { id } = await start()
    const other = await start()
    expect(await statusOfAgent()).toBe('online')
    await on.world.call(on.world.agent, 'agents.heartbeat', { instanceId: id, status: 'busy', cpuPercent: 12.5 })
    expect(await statusOfAgent()).toBe('busy')
    for (const instanceId of [id, other.id])
      await on.world.call(on.world.agent, 'agents.heartbeat', { instanceId, status: 'stopped' })
    expect(await statusOfAgent()).toBe('offline')
    const events = await on.world.query('select event_type from agent_events order by created_at')
    expect(events.map((event) => event['event_type'])).toEqual([
      'agent.online',
      'agent.busy',
      'agent.online',
      'agent.offline',
    ])
  })

  test('that miss three heartbeats have crashed, and their tasks are free', async () => {
    const { id } = await start()
    await on.world.addTask()
    const claimed = await claim({ instanceId: id })
    await on.world.query(`update agent_instances set last_heartbeat_at = now() - interval '91 seconds' where id = $1`, [
      id,
    ])
    await sweep()
    expect(await on.world.read('agent_instances', id)).toMatchObject({
      status: 'crashed',
      stopped_at: expect.any(Date),
    })
    expect(await taskOf(claimed)).toMatchObject({ status: 'pending', claimed_by_instance_id: null })
    expect(await statusOfAgent()).toBe('offline')
    expect((await claimAsSecond()).task).toMatchObject({ id: claimed.task?.id, assignedAgentId: on.world.secondId })
    const events = await on.world.query(
      'select event_type, severity, agent_id from agent_events where agent_instance_id = $1 order by event_type',
      [id],
    )
    expect(events).toContainEqual({
      event_type: 'instance.crashed',
      severity: 'error',
      agent_id: on.world.fixture.agentId,
    })
    expect(events).toContainEqual({
      event_type: 'agent.offline',
      severity: 'warning',
      agent_id: on.world.fixture.agentId,
    })
    await expect(claim({ instanceId: id })).rejects.toMatchObject({ code: 'forbidden' })
    await on.world.call(on.world.agent, 'agents.heartbeat', { instanceId: id })
    expect(await statusOfAgent()).toBe('online')
  })

  test('that crash are events, also while their agent stays online', async () => {
    const [crashing, living] = [await start(), await start()]
    await on.world.query(`update agent_instances set last_heartbeat_at = now() - interval '91 seconds' where id = $1`, [
      crashing.id,
    ])
    await sweep()
    expect(await statusOfAgent()).toBe('online')
    expect(
      await on.world.query('select event_type from agent_events where agent_instance_id = any($1)', [
        [crashing.id, living.id],
      ]),
    ).toContainEqual({ event_type: 'instance.crashed' })
    await on.world.query(`update agent_instances set status = 'stopped' where id = $1`, [living.id])
  })

  test('leave an agent in maintenance as it is', async () => {
    await on.world.query(`update agents set status = 'maintenance' where id = $1`, [on.world.fixture.agentId])
    await start()
    expect(await statusOfAgent()).toBe('maintenance')
    await on.world.query(`update agents set status = 'offline' where id = $1`, [on.world.fixture.agentId])
  })

  test('that beat without news reach no replica', async () => {
    const { id } = await start()
    const [before] = await on.world.query('select max(seq) as seq from sync_changes')
    await on.world.call(on.world.agent, 'agents.heartbeat', { instanceId: id, memoryMb: 512 })
    expect(await on.world.query('select max(seq) as seq from sync_changes')).toEqual([before])
  })
})

test('a parent is as far as its children, whatever is written to it', async () => {
  const parent = await on.world.addTask({ title: 'parent' })
  const [a, b] = [
    await on.world.addTask({ parent_task_id: parent.id }),
    await on.world.addTask({ parent_task_id: parent.id }),
  ]
  const progress = async () => (await on.world.read('tasks', parent.id))['progress_percentage']
  await on.world.query('update tasks set progress_percentage = 50 where id = $1', [a.id])
  expect(await progress()).toBe('25.00')
  await on.world.query(`update tasks set status = 'completed' where id = $1`, [b.id])
  expect(await progress()).toBe('75.00')
  await on.world.query('update tasks set progress_percentage = 3 where id = $1', [parent.id])
  expect(await progress()).toBe('75.00')
  await on.world.query('update tasks set parent_task_id = null where id = $1', [a.id])
  expect(await progress()).toBe('100.00')
  await on.world.query(`update tasks set status = 'cancelled' where id = $1`, [b.id])
  await on.world.query('update tasks set progress_percentage = 3 where id = $1', [parent.id])
  expect(await progress()).toBe('3.00')
})

describe('an agent', () => {
  const set = (values: SqlRow) =>
    on.world.query(
      `update agents set lifecycle = coalesce($2, 'active'), status = coalesce($3, 'online'), battery_aware = coalesce($4, false), dna = coalesce($5::jsonb, '{}') where id = $1`,
      [on.world.fixture.agentId, values['lifecycle'], values['status'], values['battery_aware'], values['dna']],
    )
  const refused = (message: string) => ({ code: 'agent_unavailable', message: expect.stringContaining(message) })

  test.each([
    [{ lifecycle: 'paused' }, 'is paused'],
    [{ lifecycle: 'retired' }, 'is retired'],
    [{ status: 'maintenance' }, 'is under maintenance'],
  ])('that is %j claims nothing, also when its owner asks', async (values, message) => {
    await on.world.addTask()
    await set(values)
    const byOwner = on.world.call(on.world.owner, 'tasks.claim', { agentId: on.world.fixture.agentId })
    await expect(byOwner).rejects.toMatchObject(refused(message))
    await set({})
    expect((await claim()).task).toMatchObject({ status: 'in_progress' })
  })

  test('that minds its battery claims nothing below its limit, by the instance or by its device', async () => {
    await on.world.addTask()
    await on.world.addTask()
    const { id: instanceId } = await on.world.add('agent_instances', {
      agent_id: on.world.fixture.agentId,
      battery_percent: 14,
    })
    const charge = (percent: number) =>
      on.world.query('update agent_instances set battery_percent = $2 where id = $1', [instanceId, percent])
    await set({ battery_aware: true })
    await expect(claim({ instanceId: String(instanceId) })).rejects.toMatchObject(refused('is at 14'))
    await set({ dna: { runtime: { batteryAware: true, minBatteryPercent: 10, concurrency: 9 } } })
    expect((await claim({ instanceId: String(instanceId) })).task).not.toBeNull()
    await charge(9)
    await expect(claim({ instanceId: String(instanceId) })).rejects.toMatchObject(refused('below 10'))
    await on.world.query('update devices set battery_percent = 5 where id = $1', [on.world.agent.deviceId])
    await expect(claim()).rejects.toMatchObject(refused('is at 5'))
    await on.world.query('update devices set battery_percent = 80 where id = $1', [on.world.agent.deviceId])
    expect((await claim()).task).not.toBeNull()
    await set({})
  })

  test('works on as many tasks at a time as its DNA says', async () => {
    for (let n = 0; n < 4; n++) await on.world.addTask()
    await set({ dna: { runtime: { concurrency: 2 } } })
    const [first] = [await claim(), await claim()]
    await expect(claim()).rejects.toMatchObject(refused('holds 2 tasks'))
    await on.world.query(`update tasks set status = 'completed' where id = $1`, [first.task?.id])
    expect((await claim()).task).not.toBeNull()
    await set({ dna: { runtime: {} } })
    await expect(claim()).rejects.toMatchObject(refused('works on 1 at a time'))
    await set({})
    expect((await claim()).task).not.toBeNull()
  })

  test('says where it is only while it allows that', async () => {
    const info = { model: 'P1', location: { lat: 1 }, latitude: 1 }
    const session = await on.world.add('agent_sessions', { agent_id: on.world.fixture.agentId, device_info: info })
    expect(session).toMatchObject({ device_info: { model: 'P1' } })
    await on.world.query('update agents set location_enabled = true where id = $1', [on.world.fixture.agentId])
    await on.world.query('update agent_sessions set device_info = $2 where id = $1', [session.id, info])
    expect(await on.world.read('agent_sessions', String(session.id))).toMatchObject({ device_info: info })
  })
})
