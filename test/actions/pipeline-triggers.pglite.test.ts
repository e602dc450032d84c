import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startScheduled } from '../../server/maintenance/pipeline-schedules.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import type { SqlRow } from '../migrations/rows.ts'
import { createActionWorld, newId, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld()
})
afterAll(() => world.close())
beforeEach(async () => {
  await world.query('update pipelines set is_active = false')
  await world.query('update workflows set is_active = false')
})

async function pipeline(values: SqlRow, kind = 'build'): Promise<string> {
  const { id } = await world.add('pipelines', { project_id: world.fixture.projectId, name: newId(), ...values })
  await world.add('pipeline_steps', { pipeline_id: id, name: 'one', kind })
  return String(id)
}
const runsOf = (id: string) =>
  world.query(
    'select trigger_kind, branch, inputs, status from pipeline_executions where pipeline_id = $1 order by run_number',
    [id],
  )

describe('a pipeline with a schedule', () => {
  const at = (now: number) => startScheduled({ pool: world.pool, clock: { now: () => now }, log: silentLog })
  const scheduled = async (config: Readonly<Record<string, unknown>>, made = '2 hours', more: SqlRow = {}) => {
    const id = await pipeline({ trigger_kind: 'schedule', trigger_config: config, ...more })
    // The touch trigger would say now.
    await world.query('alter table pipelines disable trigger b_touch')
    await world.query(`update pipelines set updated_at = now() - $2::interval where id = $1`, [id, made])
    await world.query('alter table pipelines enable always trigger b_touch')
    return id
  }

  test('runs when its time has come, once, however often somebody looks', async () => {
    const id = await scheduled({ cron: '*/5 * * * *', branch: 'main', inputs: { full: true } })
    const now = Date.now()
    expect(await at(now)).toBe(1)
    expect(await runsOf(id)).toMatchObject([{ trigger_kind: 'schedule', branch: 'main', inputs: { full: true } }])
    expect(await at(now)).toBe(0)
    expect(await at(now + 5 * 60_000)).toBe(1)
    expect(await runsOf(id)).toHaveLength(2)
  })

  test('runs once for a time also when the database clock is behind the one that looks', async () => {
    const id = await scheduled({ cron: '*/5 * * * *' })
    const due = Math.ceil((Date.now() + 1000) / 300_000) * 300_000
    expect(await at(due)).toBe(1)
    expect(await at(due + 15_000)).toBe(0)
    expect(await at(due + 290_000)).toBe(0)
    expect(await runsOf(id)).toHaveLength(1)
  })

  test('makes up for no more than an hour, and not for what its schedule did not ask for yet', async () => {
    const hourAhead = new Date(Date.now() + 2 * 3_600_000).getUTCHours()
    // Before the schedule is made: the next five minutes may begin meanwhile.
    const now = Math.floor(Date.now() / 300_000) * 300_000 + 299_000
    const late = await scheduled({ cron: `0 ${hourAhead} * * *` }, '2 days')
    const fresh = await scheduled({ cron: '*/5 * * * *' }, '0 seconds')
    expect(await at(now)).toBe(0)
    expect([...(await runsOf(late)), ...(await runsOf(fresh))]).toEqual([])
  })

  test('does not run while its project is paused, nor for what came meanwhile', async () => {
    const project = await world.add('projects', { name: 'Paused', slug: `p-${newId()}`, status: 'paused' })
    const id = await scheduled({ cron: '*/5 * * * *' }, '2 hours', { project_id: project.id })
    const due = Math.ceil(Date.now() / 300_000) * 300_000
    expect(await at(due)).toBe(0)
    await world.query(`update projects set status = 'active' where id = $1`, [project.id])
    expect(await at(due + 1000)).toBe(0)
    expect(await at(due + 300_000)).toBe(1)
    expect(await runsOf(id)).toHaveLength(1)
  })

  test('whose pattern is none starts nothing, and keeps no other from starting', async () => {
    await scheduled({ cron: 'now and then' })
    await scheduled({})
    const good = await scheduled({ cron: '*/5 * * * *', timezone: 'Europe/Berlin' })
    expect(await at(Date.now())).toBe(1)
    expect(await runsOf(good)).toHaveLength(1)
  })
})

describe('a pipeline with an event', () => {
  const publish = (type: string, values: SqlRow = {}) =>
    world.add('events', { source: 'ci', type, project_id: world.fixture.projectId, event_data: { n: 1 }, ...values })

  test('runs for each event that it asks for, in the transaction that publishes it', async () => {
    const id = await pipeline({
      trigger_kind: 'event',
      trigger_config: { source: 'ci', type: 'build.*', branch: 'main', inputs: { a: 1 } },
    })
    await publish('test.done')
    await publish('build.done', { source: 'elsewhere' })
    const event = await publish('build.done')
    expect(await runsOf(id)).toMatchObject([
      {
        trigger_kind: 'event',
        branch: 'main',
        inputs: { a: 1, event: { id: event.id, type: 'build.done', source: 'ci', data: { n: 1 } } },
      },
    ])
    const other = await world.add('projects', { name: 'Other', slug: `o-${newId()}` })
    await publish('build.done', { project_id: other.id })
    expect(await runsOf(id)).toHaveLength(1)
    await publish('build.done', { project_id: null })
    expect(await runsOf(id)).toHaveLength(2)
    // A row that is moved to its month was published before.
    await world.query(
      `insert into events (organization_id, source, type, project_id, created_at) values ($1, 'ci', 'build.done', $2, now() - interval '1 hour')`,
      [world.fixture.organizationId, world.fixture.projectId],
    )
    expect(await runsOf(id)).toHaveLength(2)
  })

  test('is not started by its own runs, nor without end by others', async () => {
    const ends = { trigger_kind: 'event', trigger_config: { type: 'pipeline.*' } }
    const ids = [await pipeline(ends, 'notify'), await pipeline(ends, 'notify')]
    await publish('pipeline.poke')
    const runs = await Promise.all(ids.map(runsOf))
    for (const of of runs) {
      expect(of.length).toBeGreaterThan(0)
      expect(of.length).toBeLessThan(50)
    }
  })
})

describe('a workflow', () => {
  const workflow = async (triggerKind: string, triggerConfig: Readonly<Record<string, unknown>>, values: SqlRow = {}) =>
    String(
      (
        await world.add('workflows', {
          project_id: world.fixture.projectId,
          name: newId(),
          trigger_kind: triggerKind,
          trigger_config: triggerConfig,
          max_concurrency: 10,
          definition: { steps: [{ key: 'one', title: 'One' }] },
          ...values,
        })
      ).id,
    )
  const begun = (id: string) =>
    world.query(
      'select project_id as project, trigger_event_id as event, input, status from workflow_runs where workflow_id = $1 order by created_at, id',
      [id],
    )
  const project = () => world.fixture.projectId

  test('with an event runs for each that it asks for, and not for its own', async () => {
    const id = await workflow('event', { source: 'ci', type: 'build.*', input: { a: 1 } })
    const anywhere = await workflow('event', { type: 'build.*' }, { project_id: null })
    const own = await workflow('event', { type: 'workflow.*' })
    const publish = (source: string, values: SqlRow = {}) =>
      world.add('events', { source, type: 'build.done', project_id: project(), event_data: { n: 1 }, ...values })
    await publish('elsewhere')
    const event = await publish('ci')
    expect(await begun(id)).toMatchObject([
      {
        project: project(),
        event: event.id,
        status: 'running',
        input: { a: 1, event: { id: event.id, data: { n: 1 } } },
      },
    ])
    // Of a workflow without a project the tasks are where the event is; an event without one has no place for them.
    await publish('ci', { project_id: null })
    expect(await begun(anywhere)).toHaveLength(2)
    expect(await begun(id)).toHaveLength(2)
    const [run] = await world.query('select id from workflow_runs where workflow_id = $1 limit 1', [id])
    await world.call(world.owner, 'workflows.cancel', { runId: String(run?.['id']) })
    const [started] = await world.query('select id from workflow_runs where workflow_id = $1', [own])
    await world.call(world.owner, 'workflows.cancel', { runId: String(started?.['id']) })
    expect(await begun(own)).toHaveLength(1)
  })

  test('with a webhook runs for what its integration has published, and for nothing that only looks like it', async () => {
    const { id: integration } = await world.add('integrations', {
      provider: 'generic',
      name: newId(),
      project_id: project(),
    })
    const id = await workflow('webhook', { type: 'generic.*', integrationId: integration })
    const other = await workflow('webhook', { integrationId: newId() })
    const publish = `select sync.publish_event($1, 'generic', 'generic.ping', $2, 'integration', $3, '{}')`
    const values = [world.fixture.organizationId, project(), integration]
    await world.query(publish, values)
    expect(await begun(id)).toEqual([])
    const client = await world.pool.connect()
    try {
      await client.query('begin')
      await client.query(`select set_config('app.integration_id', $1, true)`, [integration])
      await client.query(publish, values)
      await client.query('commit')
    } finally {
      client.release()
    }
    expect(await begun(id)).toMatchObject([{ project: project(), input: { event: { type: 'generic.ping' } } }])
    expect(await begun(other)).toEqual([])
  })

  test('with a schedule runs when its time has come, once', async () => {
    const config = { cron: '*/5 * * * *', input: { full: true } }
    const ids = [
      await workflow('schedule', config),
      await workflow('schedule', { ...config, projectId: project() }, { project_id: null }),
      await workflow('schedule', config, { project_id: null }),
    ]
    await world.query('alter table workflows disable trigger b_touch')
    await world.query(`update workflows set updated_at = now() - interval '2 hours' where id = any($1)`, [ids])
    await world.query('alter table workflows enable always trigger b_touch')
    const at = (now: number) => startScheduled({ pool: world.pool, clock: { now: () => now }, log: silentLog })
    const now = Date.now()
    expect(await at(now)).toBe(2)
    expect(await at(now)).toBe(0)
    for (const id of ids.slice(0, 2)) {
      const [run] = await begun(id)
      expect(run).toMatchObject({ project: project(), status: 'running', input: { full: true } })
      expect(await world.read('events', String(run?.['event']))).toMatchObject({
        type: 'workflow.scheduled',
        subject_id: id,
      })
    }
    expect(await at(now + 5 * 60_000)).toBe(2)
  })
})
