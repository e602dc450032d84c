import { afterAll, beforeAll, expect, it } from 'vitest'
import { createActionWorld, newId, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld('postgres')
})
afterAll(() => world.close())

it('a reader who follows the numbers misses no event, however many write', async () => {
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
