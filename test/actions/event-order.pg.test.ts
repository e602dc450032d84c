import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createActions, defineAction } from '../../server/actions/actions.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createMutations } from '../../server/mutation/mutations.ts'
import { createSqlMutationStore } from '../../server/mutation/sql-mutation-store.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createActionWorld, newId, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld('postgres')
})
afterAll(() => world.close())

test('a reader who follows the numbers misses no event, however many write', async () => {
  const { subscriptionId } = (await world.call(world.agent, 'events.subscribe', { name: newId() })) as {
    subscriptionId: string
  }
  let writing = true
  const writer = async (name: number): Promise<void> => {
    for (let n = 0; n < 40; n++)
      await world.query(
        `with first as (insert into events (organization_id, source, type) values ($1, 'test', $2) returning 1)
         select pg_sleep(random() / 500) from first`,
        [world.fixture.organizationId, `${name}.${n}`],
      )
  }
  const seen: string[] = []
  let acknowledge = 0
  const readAll = async (): Promise<void> => {
    for (;;) {
      const last = !writing
      const { events } = (await world.call(world.agent, 'events.read', { subscriptionId, acknowledge, limit: 7 })) as {
        events: readonly { seq: number; type: string }[]
      }
      for (const { seq, type } of events) {
        expect(seq).toBeGreaterThan(acknowledge)
        acknowledge = seq
        seen.push(type)
      }
      if (last && events.length === 0) return
    }
  }
  const reading = readAll()
  await Promise.all([1, 2, 3, 4, 5].map(writer))
  writing = false
  await reading
  expect(new Set(seen).size).toBe(200)
  expect(seen).toHaveLength(200)
})

test('a replay of many events counts only the first of them, and says so', async () => {
  await world.query(
    `insert into events (organization_id, source, type) select $1, 'many', 'many.' || n from generate_series(1, 11500) n`,
    [world.fixture.organizationId],
  )
  const { subscriptionId } = (await world.call(world.owner, 'events.subscribe', { name: newId() })) as {
    subscriptionId: string
  }
  const count = { subscriptionId, fromTime: '1970-01-01T00:00:00Z', dryRun: true }
  expect(await world.call(world.owner, 'events.replay', count)).toMatchObject({ events: 10_000, isComplete: false })
})

test('a statement of a call or a push that takes too long is stopped, and its connection is as it was', async () => {
  const sleep = defineAction({
    name: 'test.sleep',
    input: z.strictObject({ seconds: z.number() }),
    async run({ query }, { seconds }) {
      await query({ text: 'select pg_sleep($1)', values: [seconds] })
      return {}
    },
  })
  const [{ pool }, catalog] = [world, loadCatalog()]
  const bounded = { pool, catalog, clock: systemClock, random: systemRandom, statementTimeoutMs: 1000 }
  const actions = createActions({ ...bounded, actions: [sleep] })
  const call = (seconds: number) => actions.call(world.owner, { id: newId(), action: 'test.sleep', input: { seconds } })
  const stopped = { code: 'timeout', message: expect.stringContaining('longer than 1 s') }
  await expect(call(600)).rejects.toMatchObject(stopped)
  await expect(call(0)).resolves.toEqual({})
  await world.query(
    `create function public.slow() returns trigger language plpgsql as $$ begin perform pg_sleep(600); return new; end $$`,
  )
  await world.query('create trigger slow before insert on tasks for each row execute function public.slow()')
  const mutations = createMutations({ ...bounded, store: createSqlMutationStore(bounded), log: silentLog })
  const set = { projectId: world.fixture.projectId, title: 'slow' }
  const insert = { id: newId(), clientSeq: 1, table: 'tasks', rowId: newId(), op: 'insert', set, at: 0 } as const
  await expect(mutations.push(world.owner, [insert])).rejects.toMatchObject(stopped)
  await world.query('drop trigger slow on tasks')
  expect(await mutations.push(world.owner, [insert])).toMatchObject([{ kind: 'applied' }])
  const settings = await Promise.all(Array.from({ length: 5 }, () => world.query('show statement_timeout')))
  expect(new Set(settings.map(([row]) => row?.['statement_timeout']))).toEqual(new Set(['0']))
})
