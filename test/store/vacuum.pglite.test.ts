import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPgliteStore } from '../../client-sdk/store/pglite-store.ts'
import type { OutboxEntry, ReplicaStore } from '../../client-sdk/store/store.ts'
import { channelA, channelB, idOf, issue, pack } from '../../client-sdk/testing/contract-rows.ts'
import { contractSchema } from '../../client-sdk/testing/contract-schema.ts'
import { sharePglite, type SharedPglite } from './fresh-pglite.ts'

let shared: SharedPglite

beforeAll(async () => {
  shared = await sharePglite()
})
afterAll(() => shared.close())

async function size(table = 'public.issues'): Promise<number> {
  const { rows } = await shared.database.query<{ size: number }>(`select pg_relation_size($1)::int as size`, [table])
  return rows[0]?.size ?? 0
}

async function open(): Promise<ReplicaStore> {
  return createPgliteStore({ schema: contractSchema, open: async () => shared.database })
}

async function vacuumed(table: string): Promise<boolean> {
  const text = 'select last_vacuum is not null as done from pg_stat_user_tables where relid = $1::regclass'
  return (await shared.database.query<{ done: boolean }>(text, [table])).rows[0]?.done ?? false
}

test('takes back the space of rows that are changed over and over', async () => {
  const store = await open()
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

test('takes back the space of writes that have ended', async () => {
  const store = await open()
  const entries = Array.from({ length: 1000 }, (_, index) => write(index + 1))
  await store.commit({ outbox: { puts: entries, deletes: [] } })
  const once = await size('tidewire.local_outbox')
  const ids = entries.map(({ mutation }) => mutation.id)
  for (let round = 1; round <= 15; round++) {
    await store.commit({ outbox: { puts: [], deletes: ids } })
    await store.commit({ outbox: { puts: entries, deletes: [] } })
  }
  await store.close()
  expect(await size('tidewire.local_outbox')).toBeLessThan(14 * once)
})

test('takes back what an earlier run left behind, and what a purge removes', async () => {
  const before = await open()
  const rows = Array.from({ length: 12_000 }, (_, index) => issue(index, channelB))
  await before.commit({ blocks: [pack('issues', rows)] })
  await before.close()
  await shared.database.exec('select pg_stat_reset()')
  const store = await open()
  await store.commit({ meta: { clientSeq: 1 } })
  await expect.poll(() => vacuumed('public.issues'), { timeout: 60_000 }).toBe(true)
  await shared.database.exec('select pg_stat_reset()')
  await store.commit({ purges: [{ channel: channelB, keep: [] }] })
  await store.close()
  expect(await vacuumed('public.issues')).toBe(true)
})

function write(position: number): OutboxEntry {
  const mutation = { id: idOf(position), clientSeq: 0, table: 'issues', rowId: idOf(1), op: 'patch' as const, at: 5 }
  return { position, status: 'local', mutation, outcome: null, settled: false }
}
