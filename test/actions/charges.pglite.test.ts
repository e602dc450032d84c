import { afterAll, beforeAll, expect, test } from 'vitest'
import { createActionWorld, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld()
})
afterAll(() => world.close())

interface Page {
  readonly charges: ReadonlyArray<{ readonly id: string; readonly periodStart: string; readonly amount: string }>
  readonly next: string | null
}
const list = async (input: Readonly<Record<string, string>> = {}, who = world.owner): Promise<Page> =>
  (await world.call(who, 'charges.list', input)) as unknown as Page

test('admins see what the organization is charged, month by month and page by page; nobody else does', async () => {
  await world.query(
    `insert into billing_records (organization_id, period_start, period_end, provider, model, usage_cost, markup)
     select $1::uuid, '2026-09-01'::date, '2026-10-01'::date, 'p', n::text, 1, 0.2 from generate_series(1, 501) n
     union all select $1::uuid, '2026-10-01', '2026-11-01', 'p', 'm', 5, 1`,
    [world.fixture.organizationId],
  )
  const first = await list()
  expect(first.charges[0]).toMatchObject({ periodStart: '2026-10-01', amount: '6.00000000' })
  expect(first.charges).toHaveLength(500)
  const second = await list({ after: first.next ?? '' })
  expect([second.charges.length, second.next]).toEqual([2, null])
  expect(new Set([...first.charges, ...second.charges].map(({ id }) => id)).size).toBe(502)
  expect((await list({ month: '2026-10' })).charges).toHaveLength(1)
  for (const who of [world.viewer, world.agent])
    await expect(list({}, who)).rejects.toMatchObject({ code: 'forbidden' })
})
