import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startScheduledPipelines } from '../../server/maintenance/maintenance.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import type { SqlRow } from '../migrations/rows.ts'
import { createActionWorld, newId, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld()
})
afterAll(() => world.close())
beforeEach(() => world.query('update pipelines set is_active = false'))

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
  const at = (now: number) => startScheduledPipelines({ pool: world.pool, clock: { now: () => now }, log: silentLog })
  const scheduled = async (config: Readonly<Record<string, unknown>>, made = '2 hours', more: SqlRow = {}) => {
    const id = await pipeline({ trigger_kind: 'schedule', trigger_config: config, ...more })
    // The touch trigger would say now.
    await world.query('alter table pipelines disable trigger b_touch')
    await world.query(`update pipelines set updated_at = now() - $2::interval where id = $1`, [id, made])
    await world.query('alter table pipelines enable always trigger b_touch')
    return id
  }

  it('runs when its time has come, once, however often somebody looks', async () => {
    const id = await scheduled({ cron: '*/5 * * * *', branch: 'main', inputs: { full: true } })
    const now = Date.now()
    expect(await at(now)).toBe(1)
    expect(await runsOf(id)).toMatchObject([{ trigger_kind: 'schedule', branch: 'main', inputs: { full: true } }])
    expect(await at(now)).toBe(0)
    expect(await at(now + 5 * 60_000)).toBe(1)
    expect(await runsOf(id)).toHaveLength(2)
  })

  it('runs once for a time also when the database clock is behind the one that looks', async () => {
    const id = await scheduled({ cron: '*/5 * * * *' })
    const due = Math.ceil((Date.now() + 1000) / 300_000) * 300_000
    expect(await at(due)).toBe(1)
    expect(await at(due + 15_000)).toBe(0)
    expect(await at(due + 290_000)).toBe(0)
    expect(await runsOf(id)).toHaveLength(1)
  })

  it('makes up for no more than an hour, and not for what its schedule did not ask for yet', async () => {
    const hourAhead = new Date(Date.now() + 2 * 3_600_000).getUTCHours()
    const late = await scheduled({ cron: `0 ${hourAhead} * * *` }, '2 days')
    const fresh = await scheduled({ cron: '*/5 * * * *' }, '0 seconds')
    const now = Math.floor(Date.now() / 300_000) * 300_000 + 299_000
    expect(await at(now)).toBe(0)
    expect([...(await runsOf(late)), ...(await runsOf(fresh))]).toEqual([])
  })

  it('does not run while its project is paused, nor for what came meanwhile', async () => {
    const project = await world.add('projects', { name: 'Paused', slug: `p-${newId()}`, status: 'paused' })
    const id = await scheduled({ cron: '*/5 * * * *' }, '2 hours', { project_id: project.id })
    const due = Math.ceil(Date.now() / 300_000) * 300_000
    expect(await at(due)).toBe(0)
    await world.query(`update projects set status = 'active' where id = $1`, [project.id])
    expect(await at(due + 1000)).toBe(0)
    expect(await at(due + 300_000)).toBe(1)
    expect(await runsOf(id)).toHaveLength(1)
  })

  it('whose pattern is none starts nothing, and keeps no other from starting', async () => {
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

  it('runs for each event that it asks for, in the transaction that publishes it', async () => {
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

  it('is not started by its own runs, nor without end by others', async () => {
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
