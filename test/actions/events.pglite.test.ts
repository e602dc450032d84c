import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../../protocol/rows/row.ts'
import { createActionWorld, newId, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld()
})
afterAll(() => world.close())

interface Read {
  readonly status: string
  readonly events: readonly {
    readonly seq: number
    readonly type: string
    readonly replay: boolean
    readonly replayId: string | null
  }[]
  readonly replays: readonly string[]
}
type Input = Readonly<Record<string, Json>>

const publish = (type: string, values: Readonly<Record<string, unknown>> = {}) =>
  world.add('events', { source: 'test', type, ...values })
async function subscribe(input: Input = {}): Promise<string> {
  const answer = await world.call(world.agent, 'events.subscribe', { name: newId(), ...input })
  return (answer as { subscriptionId: string }).subscriptionId
}
const read = async (subscriptionId: string, more: Input = {}) =>
  (await world.call(world.agent, 'events.read', { subscriptionId, ...more })) as unknown as Read
const types = ({ events }: Read) => events.map(({ type }) => type)
const last = ({ events }: Read) => events.at(-1)?.seq ?? 0

describe('a subscription', () => {
  test('gets events in the order of their numbers, again and again until they are acknowledged', async () => {
    const id = await subscribe({ type: 'a.*' })
    for (const type of ['a.one', 'b.two', 'a.three', 'a.four']) await publish(type)
    const first = await read(id, { limit: 2 })
    expect(types(first)).toEqual(['a.one', 'a.three'])
    expect(types(await read(id, { limit: 2 }))).toEqual(['a.one', 'a.three'])
    const second = await read(id, { acknowledge: last(first) })
    expect(types(second)).toEqual(['a.four'])
    // What is acknowledged late moves nothing back.
    expect(types(await read(id, { acknowledge: 0 }))).toEqual(['a.four'])
    expect(types(await read(id, { acknowledge: last(second) }))).toEqual([])
  })

  test('is one of at most a hundred of its agent, user or integration', async () => {
    await world.query(
      `insert into event_subscriptions (organization_id, name, user_id) select $1, 'many ' || n, $2 from generate_series(1, 100) n`,
      [world.fixture.organizationId, world.viewer.id],
    )
    const more = (name: string) => world.call(world.viewer, 'events.subscribe', { name })
    await expect(more('one more')).rejects.toMatchObject({ code: 'limit_reached' })
    await expect(more('many 7')).resolves.toHaveProperty('subscriptionId')
  })

  test('takes no acknowledgement of an event that there is not, so that later ones arrive', async () => {
    const id = await subscribe({ type: 'far.*' })
    await publish('far.one')
    const first = await read(id)
    for (const acknowledge of [last(first) + 1, Number.MAX_SAFE_INTEGER])
      await expect(read(id, { acknowledge })).rejects.toMatchObject({
        code: 'invalid_value',
        message: `acknowledge: ${acknowledge} is above ${last(first)}, the number of the newest event.`,
      })
    const { replayId } = (await world.call(world.agent, 'events.replay', {
      subscriptionId: id,
      fromSeq: last(first),
    })) as { replayId: string }
    await expect(read(id, { replayId, acknowledge: last(first) + 1 })).rejects.toMatchObject({ code: 'invalid_value' })
    await publish('far.two')
    expect(types(await read(id, { acknowledge: last(first) }))).toEqual(['far.two'])
  })

  test('begins now, or with the oldest event', async () => {
    await publish('begin.before')
    const [now, beginning] = [await subscribe(), await subscribe({ from: 'beginning', type: 'begin.*' })]
    await publish('begin.after')
    expect(types(await read(now))).toEqual(['begin.after'])
    expect(types(await read(beginning))).toEqual(['begin.before', 'begin.after'])
  })

  test('is for what its filter says', async () => {
    const subjectId = newId()
    const id = await subscribe({ source: 'te_t', from: 'now' })
    const exact = await subscribe({
      filter: { subjectId, priority: ['high', 'critical'], data: { build: { ok: false } } },
    })
    const event_data = { build: { ok: false, id: 7 } }
    await publish('wanted', { subject_id: subjectId, priority: 'high', event_data })
    await publish('low', { subject_id: subjectId, event_data })
    await publish('ok', { subject_id: subjectId, priority: 'high', event_data: { build: { ok: true } } })
    await publish('of none', { priority: 'high', event_data })
    expect(types(await read(exact))).toEqual(['wanted'])
    // In a pattern only * means anything.
    expect(types(await read(id))).toEqual([])
  })

  test('gets nothing of projects that its reader does not see', async () => {
    const { id: hidden } = await world.add('projects', { name: 'H', slug: `h-${newId()}`, visibility: 'private' })
    const id = await subscribe()
    await publish('hidden', { project_id: hidden })
    await publish('open', { project_id: world.fixture.projectId })
    expect(types(await read(id))).toEqual(['open'])
  })

  test('that is paused waits, and goes on where it was', async () => {
    const id = await subscribe()
    await world.call(world.agent, 'events.pause', { subscriptionId: id })
    await publish('waits')
    expect(await read(id)).toMatchObject({ status: 'paused', events: [] })
    await world.call(world.agent, 'events.resume', { subscriptionId: id })
    expect(types(await read(id))).toEqual(['waits'])
  })

  test('fails after as many failures as its policy allows, keeps the error, and is resumed', async () => {
    const id = await subscribe({ retryPolicy: { maxAttempts: 2 } })
    await publish('bad')
    const fail = () => world.call(world.agent, 'events.fail', { subscriptionId: id, error: 'no' })
    expect(await fail()).toEqual({ status: 'active', attempts: 1 })
    expect(await fail()).toEqual({ status: 'failed', attempts: 2 })
    expect(await read(id)).toMatchObject({ status: 'failed', events: [] })
    expect(await world.read('event_subscriptions', id)).toMatchObject({ last_error: 'no', failure_count: 2 })
    await world.call(world.agent, 'events.resume', { subscriptionId: id })
    const again = await read(id)
    expect(types(again)).toEqual(['bad'])
    await fail()
    await read(id, { acknowledge: last(again) })
    expect(await world.read('event_subscriptions', id)).toMatchObject({ last_error: null, failure_count: 0 })
  })

  test('is for its agent, the owner of that, and admins', async () => {
    const subscriptionId = await subscribe()
    const member = await world.device('user', world.fixture.memberId)
    await expect(world.call(member, 'events.read', { subscriptionId })).rejects.toMatchObject({ code: 'forbidden' })
    expect(await world.call(world.owner, 'events.read', { subscriptionId })).toMatchObject({ status: 'active' })
    await expect(
      world.call(member, 'events.subscribe', { name: newId(), agentId: world.fixture.agentId }),
    ).rejects.toMatchObject({
      code: 'forbidden',
    })
  })

  test('is changed when it is made again', async () => {
    const name = newId()
    const id = await subscribe({ name, type: 'x' })
    expect(await subscribe({ name, type: 'y' })).toBe(id)
    await publish('x')
    await publish('y')
    expect(types(await read(id))).toEqual(['y'])
  })
})

describe('a replay', () => {
  const replay = async (subscriptionId: string, more: Input) =>
    (await world.call(world.agent, 'events.replay', { subscriptionId, ...more })) as {
      replayId: string
      events: number
    }

  test('by time delivers the same events again, flagged, and leaves the cursor where it is', async () => {
    const id = await subscribe({ type: 'r.*' })
    await publish('r.early', { occurred_at: '2026-05-01T00:00:00Z' })
    await publish('r.one', { occurred_at: '2026-05-02T00:00:00Z' })
    await publish('other', { occurred_at: '2026-05-02T00:00:00Z' })
    await publish('r.two', { occurred_at: '2026-05-03T00:00:00Z' })
    await publish('r.late', { occurred_at: '2026-05-04T00:00:00Z' })
    const live = await read(id)
    await read(id, { acknowledge: last(live) })
    const cursor = (await world.read('event_subscriptions', id))['cursor_seq']
    const asked = { fromTime: '2026-05-02T00:00:00Z', toTime: '2026-05-04T00:00:00Z' }
    expect(await replay(id, { ...asked, dryRun: true })).toMatchObject({ events: 2 })
    expect((await read(id)).replays).toEqual([])
    const { replayId, events } = await replay(id, asked)
    expect(events).toBe(2)
    await publish('r.meanwhile')
    const waiting = await read(id)
    expect(waiting).toMatchObject({
      replays: [replayId],
      events: [{ type: 'r.meanwhile', replay: false, replayId: null }],
    })
    const first = await read(id, { replayId, limit: 1 })
    expect(first.events).toMatchObject([{ type: 'r.one', replay: true, replayId }])
    const second = await read(id, { replayId, acknowledge: last(first) })
    expect(second.events).toMatchObject([{ type: 'r.two', replay: true, replayId }])
    expect(second.events[0]?.seq).toBe(live.events.find(({ type }) => type === 'r.two')?.seq)
    expect(await read(id, { replayId, acknowledge: last(second) })).toMatchObject({ status: 'completed', events: [] })
    expect(await world.read('event_replays', replayId)).toMatchObject({ status: 'completed', events_replayed: '2' })
    expect((await world.read('event_subscriptions', id))['cursor_seq']).toBe(cursor)
  })

  test('by number ends where events end when it is asked for, and filters further', async () => {
    const id = await subscribe()
    const { seq } = await publish('n.one')
    await publish('n.two', { priority: 'high' })
    const { replayId, events } = await replay(id, { fromSeq: Number(seq), filter: { priority: ['high'] } })
    await publish('n.three', { priority: 'high' })
    expect(events).toBe(1)
    const page = await read(id, { replayId })
    expect(types(page)).toEqual(['n.two'])
    expect(await read(id, { replayId, acknowledge: last(page) })).toMatchObject({ status: 'completed' })
  })
})

test('each minute that is over has a row of figures for each source and type', async () => {
  await world.query('delete from event_subscriptions')
  const type = newId()
  const id = await subscribe({ type })
  for (let n = 0; n < 3; n++) await publish(type)
  const { events } = await read(id)
  await read(id, { acknowledge: events[1]?.seq ?? 0 })
  await world.call(world.agent, 'events.fail', { subscriptionId: id, error: 'no' })
  // A minute passes.
  await world.query(`update events set created_at = created_at - interval '2 minutes' where type = $1`, [type])
  await world.query(`update sync.event_deliveries set at = at - interval '2 minutes'`)
  await world.query(`update sync.event_windows set through = through - interval '5 minutes'`)
  await world.query('select sync.summarise_events()')
  await world.query('select sync.summarise_events()')
  const rows = await world.query(
    `select published_count::int as published, delivered_count::int as delivered, failed_count::int as failed, retried_count::int as retried,
      backlog::int as backlog, latency_p95_ms >= 0 as measured, window_seconds as seconds, organization_id as organization
    from event_metrics where type = $1`,
    [type],
  )
  expect(rows).toEqual([
    {
      published: 3,
      delivered: 2,
      failed: 0,
      retried: 1,
      backlog: 1,
      measured: true,
      seconds: 60,
      organization: world.fixture.organizationId,
    },
  ])
})
