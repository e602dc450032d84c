// A client of yesterday's schema at a server of today's: it lacks a table, columns and values of lists, and sync goes
// on without them.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { shippedSchema, type Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClient, type ClientOf } from '../../client-sdk/client.ts'
import { createSocketTransport } from '../../client-sdk/connection/socket-transport.ts'
import { openStore, type ReplicaPlace } from '../../client-sdk/store/open-store.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

/** Without plans, and of tasks without what was added since, and without the newest kind and priority. */
function olderSchema() {
  const { plans: _, ...older } = shippedSchema
  const { planId: _1, expectedOutput: _2, result: _3, estimatedHours: _4, ...columns } = shippedSchema.tasks.columns
  const kind = { ...columns.kind, values: ['task', 'micro_step', 'workflow_step', 'agent_task', 'review'] as const }
  const priority = { ...columns.priority, values: ['low', 'medium', 'high'] as const }
  return { ...older, tasks: { ...shippedSchema.tasks, columns: { ...columns, kind, priority } } }
}
type OlderClient = ClientOf<ReturnType<typeof olderSchema>>

let home: TestServer
let folder: string
beforeAll(async () => {
  home = await startTestServer()
  folder = await mkdtemp(join(tmpdir(), 'tidewire-older-'))
})
afterAll(async () => {
  await home.close()
  await rm(folder, { recursive: true, force: true })
})

async function open<S extends Schema>(
  schema: S,
  name: string,
  replica: ReplicaPlace,
  userId = home.fixture.memberId,
): Promise<ClientOf<S>> {
  const token = await home.userToken(userId)
  return createClient<S>({
    schema,
    transport: createSocketTransport(home.url),
    clock: systemClock,
    random: systemRandom,
    token: () => Promise.resolve(token),
    device: { name, kind: 'cli' },
    store: await openStore(replica, schema),
  })
}

/** Waits until the row of this list is as wanted. */
async function seen(rows: AsyncIterable<readonly object[]>, wanted: Row): Promise<object> {
  for await (const [row = {}] of rows) {
    const shown = new Map<string, unknown>(Object.entries(row))
    if (Object.entries(wanted).every(([column, value]) => shown.get(column) === value)) return row
  }
  throw new Error('The list ended.')
}

const byId = (id: string) => ({ where: { id } })

async function onServer(id: string): Promise<Row> {
  const { rows } = await home.server.database.pool.query<Row>(
    `select title, description, kind, priority, plan_id as "planId", expected_output as "expectedOutput", result,
       estimated_hours::float8 as "estimatedHours" from tasks where id = $1`,
    [id],
  )
  return rows[0] ?? {}
}

describe.each(['memory', 'pglite'] as const)('a client with an older schema, replica kind %s', (kind) => {
  let newer: Client
  let older: OlderClient
  const projectId = (): string => home.fixture.projectId
  beforeAll(async () => {
    newer = await open(shippedSchema, `newer-${kind}`, { kind: 'memory' })
    older = await open(
      olderSchema(),
      `older-${kind}`,
      kind === 'memory' ? { kind } : { kind, dir: join(folder, 'replica') },
    )
    await (
      await newer.subscribe({ project: projectId() })
    ).ready
  })
  afterAll(() => Promise.all([newer?.close(), older?.close()]))

  /** A plan, and a task that makes use of everything new. */
  async function insertNew(title: string) {
    const plan = await newer.plans.insert({ projectId: projectId(), title: `Plan of ${title}` })
    const added = {
      planId: plan.id,
      expectedOutput: 'A page.',
      result: { pages: [1, 2] },
      kind: 'mobile',
      priority: 'critical',
    } as const
    const task = await newer.tasks.insert({
      projectId: projectId(),
      title,
      description: 'one\ntwo\nthree\nfour\nfive',
      estimatedHours: 2.5,
      ...added,
    })
    await task.$write.wait('synced')
    return { plan, task, added: { ...added, estimatedHours: 2.5 } }
  }

  test('syncs, writes and merges with a newer server, and leaves alone what it does not know', async () => {
    const early = await insertNew('early')
    await (
      await older.subscribe({ project: projectId() })
    ).ready
    const late = await insertNew('late')
    const spare = await newer.plans.insert({ projectId: projectId(), title: 'Plan of nothing' })
    await spare.$write.wait('synced')

    // By bootstrap and live: values of a list that are not known here are shown, columns and tables are not.
    for (const { task } of [early, late]) {
      const row = await seen(older.tasks.live(byId(task.id)), {
        title: task.title,
        kind: 'mobile',
        priority: 'critical',
      })
      for (const column of ['planId', 'expectedOutput', 'result', 'estimatedHours'])
        expect(row).not.toHaveProperty(column)
    }
    expect(older).not.toHaveProperty('plans')
    expect(await older.verify()).toEqual({ equal: true })

    // Both write offline to the same rows: other columns, other lines of one text, and the same column.
    older.disconnect()
    newer.disconnect()
    const own = await older.tasks.insert({ projectId: projectId(), title: 'own', priority: 'high' })
    for (const { task } of [early, late])
      await older.tasks.update(task.id, { title: `${task.title}, renamed`, description: 'ONE\ntwo\nthree\nfour\nfive' })
    await newer.tasks.update(early.task.id, { expectedOutput: 'A book.', description: 'one\ntwo\nthree\nfour\nFIVE' })
    await newer.plans.update(early.plan.id, { title: 'Changed meanwhile' })
    await newer.plans.delete(spare.id)
    newer.connect()
    await newer.synced()
    older.connect()
    await older.synced()

    const merged = { title: 'early, renamed', description: 'ONE\ntwo\nthree\nfour\nFIVE' }
    await Promise.all([
      seen(older.tasks.live(byId(early.task.id)), merged),
      seen(newer.tasks.live(byId(early.task.id)), merged),
    ])
    expect(await onServer(early.task.id)).toEqual({ ...early.added, ...merged, expectedOutput: 'A book.' })
    expect(await onServer(late.task.id)).toMatchObject({ ...late.added, title: 'late, renamed' })
    expect(await onServer(own.id)).toMatchObject({ title: 'own', priority: 'high', kind: 'task', planId: null })

    // What it inserted takes the new columns like any other row, and its own next write keeps them.
    await seen(newer.tasks.live(byId(own.id)), { title: 'own' })
    await (await newer.tasks.update(own.id, { expectedOutput: 'A poem.', priority: 'critical' })).wait('synced')
    await seen(older.tasks.live(byId(own.id)), { priority: 'critical' })
    await (await older.tasks.update(own.id, { title: 'own, again' })).wait('synced')
    expect(await onServer(own.id)).toMatchObject({
      title: 'own, again',
      expectedOutput: 'A poem.',
      priority: 'critical',
    })

    // The same column of both is a conflict, which the older client settles.
    older.disconnect()
    await older.tasks.update(own.id, { title: 'of the older' })
    await (await newer.tasks.update(own.id, { title: 'of the newer', expectedOutput: 'An opera.' })).wait('synced')
    older.connect()
    for await (const [conflict] of older.conflicts.live()) {
      if (conflict === undefined) continue
      expect(conflict).toMatchObject({ table: 'tasks', rowId: own.id, theirs: { title: 'of the newer' } })
      await older.conflicts.resolve(conflict.id, 'client')
      break
    }
    await older.synced()
    await Promise.all(
      [older.tasks.live(byId(own.id)), newer.tasks.live(byId(own.id))].map((rows) =>
        seen(rows, { title: 'of the older' }),
      ),
    )
    expect(await onServer(own.id)).toMatchObject({ title: 'of the older', expectedOutput: 'An opera.' })

    for (const client of [older, newer]) {
      await client.synced()
      expect(await client.writes.find()).toEqual([])
      expect(await client.verify()).toEqual({ equal: true })
    }
  }, 240_000)
})

describe('two versions of a prompt that are activated offline', () => {
  const { exclusive: _, ...promptsBefore } = shippedSchema.prompts
  const schemaBefore = { ...shippedSchema, prompts: promptsBefore }
  /** A first version that is active, two others, and two devices that know of all and are offline. */
  async function begin(name: string, second: typeof shippedSchema | typeof schemaBefore = shippedSchema) {
    const { ownerId } = home.fixture
    const one = await open(shippedSchema, `${name} one`, { kind: 'memory' }, ownerId)
    const two = await open(second as typeof shippedSchema, `${name} two`, { kind: 'memory' }, ownerId)
    const version = { agentType: 'generic', name, promptText: 'Be kind.' }
    await (
      await one.subscribe({ organization: true }, { tables: ['prompts', 'sync_conflicts'] })
    ).ready
    await one.prompts.insert({ ...version, semver: '1.0.0', isActive: true })
    const early = await one.prompts.insert({ ...version, semver: '2.0.0' })
    const late = await one.prompts.insert({ ...version, semver: '3.0.0' })
    await one.synced()
    await (
      await two.subscribe({ organization: true }, { tables: ['prompts', 'sync_conflicts'] })
    ).ready
    const meet = async (): Promise<void> => {
      for (const tide of [one, two]) {
        tide.connect()
        await tide.synced()
      }
    }
    for (const tide of [one, two]) tide.disconnect()
    await one.prompts.update(early.id, { isActive: true })
    return { one, two, early: early.id, late: late.id, version, meet }
  }
  const activeOf = async (name: string): Promise<readonly string[]> => {
    const { rows } = await home.server.database.pool.query<{ semver: string }>(
      'select semver from prompts where name = $1 and is_active order by semver',
      [name],
    )
    return rows.map(({ semver }) => semver)
  }

  test.each([
    ['client', ['3.0.0']],
    ['server', ['2.0.0']],
  ] as const)('are an open conflict, which taking %s settles', async (take, active) => {
    const { one, two, late, meet } = await begin(`settled by ${take}`)
    await two.prompts.update(late, { isActive: true, notes: 'Mine.' })
    await meet()
    expect(await activeOf(`settled by ${take}`)).toEqual(['2.0.0'])
    await seen(two.prompts.live(byId(late)), { isActive: false, notes: 'Mine.' })
    const [conflict, ...others] = await two.conflicts.find({ where: { status: 'open' } })
    expect(conflict).toMatchObject({ table: 'prompts', rowId: late, kind: 'unique', mine: { isActive: true } })
    expect(others).toEqual([])
    expect((await two.prompts.get(late))?.$sync.status).toBe('conflict')
    await (await two.conflicts.resolve(conflict?.id ?? '', take)).wait('synced')
    expect(await activeOf(`settled by ${take}`)).toEqual(active)
    expect(await two.conflicts.find({ where: { status: 'open' } })).toEqual([])
    await Promise.all([one.close(), two.close()])
  })

  test('are an open conflict as well where the later one is only made, and folded from two writes', async () => {
    const { one, two, version, meet } = await begin('made')
    const made = await two.prompts.insert({ ...version, semver: '4.0.0' })
    await two.prompts.update(made.id, { isActive: true })
    await meet()
    expect(await activeOf('made')).toEqual(['2.0.0'])
    await seen(two.prompts.live(byId(made.id)), { isActive: false })
    const [conflict] = await two.conflicts.find({ where: { status: 'open', rowId: made.id } })
    expect(conflict).toMatchObject({ rowId: made.id, kind: 'unique', mine: { isActive: true } })
    await (await two.conflicts.resolve(conflict?.id ?? '', 'client')).wait('synced')
    expect(await activeOf('made')).toEqual(['4.0.0'])
    await Promise.all([one.close(), two.close()])
  })

  test('by one device are what it wrote last, and so are those of a client that cannot say what it saw', async () => {
    const { one, two, early, late, meet } = await begin('last', schemaBefore)
    await one.prompts.update(late, { isActive: true })
    await two.prompts.update(early, { isActive: true })
    one.connect()
    await one.synced()
    expect(await activeOf('last')).toEqual(['3.0.0'])
    await meet()
    expect(await activeOf('last')).toEqual(['2.0.0'])
    for (const tide of [one, two])
      expect(await tide.conflicts.find({ where: { rowId: { in: [early, late] } } })).toEqual([])
    await Promise.all([one.close(), two.close()])
  })
})
