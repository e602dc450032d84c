import { afterAll, beforeAll, expect, it } from 'vitest'
import { createPgliteStore } from '../../client-sdk/store/pglite-store.ts'
import { channelA, issue, pack } from '../../client-sdk/testing/contract-rows.ts'
import { contractSchema } from '../../client-sdk/testing/contract-schema.ts'
import { sharePglite, type SharedPglite } from './fresh-pglite.ts'

let shared: SharedPglite

beforeAll(async () => {
  shared = await sharePglite()
})
afterAll(() => shared.close())

async function size(): Promise<number> {
  const { rows } = await shared.database.query<{ size: number }>(
    `select pg_relation_size('public.issues')::int as size`,
  )
  return rows[0]?.size ?? 0
}

it('takes back the space of rows that are changed over and over', async () => {
  const store = await createPgliteStore({ schema: contractSchema, open: async () => shared.database })
  const rows = Array.from({ length: 1000 }, (_, index) => issue(index, channelA))
  await store.commit({ blocks: [pack('issues', rows)] })
  const once = await size()
  for (let round = 1; round <= 60; round++)
    await store.commit({
      blocks: [
        pack(
          'issues',
          rows.map((row) => ({ ...row, priority: round })),
        ),
      ],
    })
  await store.close()
  expect(await size()).toBeLessThan(25 * once)
  expect(once).toBeGreaterThan(0)
})
