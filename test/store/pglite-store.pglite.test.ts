import { afterAll, beforeAll, expect, test } from 'vitest'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import type { PGliteLike } from '../../client-sdk/store/pglite-like.ts'
import { createPgliteStore } from '../../client-sdk/store/pglite-store.ts'
import { storeContract } from '../../client-sdk/testing/testing.ts'
import { vectorFromBase64 } from '../../protocol/rows/base64.ts'
import { linesOf, rowsOf } from '../export/read-export.ts'
import { newId } from '../support/fixtures.ts'
import { lonelyClient } from '../support/lonely-client.ts'
import { sharePglite, type SharedPglite } from './fresh-pglite.ts'

let shared: SharedPglite

beforeAll(async () => {
  shared = await sharePglite()
})
afterAll(() => shared.close())

storeContract('the PGlite store', async () => {
  await shared.wipe()
  return {
    open: (schema) => createPgliteStore({ schema, open: async () => shared.database }),
    remove: async () => {},
  }
})

test('a client reads it by SQL, and is told by a code what is wrong with a query', async () => {
  await shared.wipe()
  const store = await createPgliteStore({ schema: shippedSchema, open: async () => shared.database })
  const tide = await lonelyClient(store)
  await tide.projects.insert({ name: 'One', slug: 'one' })
  expect(await tide.sql`select name from projects where slug = ${'one'}`).toEqual([{ name: 'One' }])
  await expect(tide.sql`select nothing from projects`).rejects.toMatchObject({
    code: 'sql_failed',
    message: expect.stringContaining('column "nothing" does not exist'),
    cause: expect.any(Error),
  })
  await expect(tide.sql`delete from projects`).rejects.toMatchObject({ code: 'sql_failed' })
  await tide.close()
  await expect(tide.sql`select 1`).rejects.toMatchObject({ code: 'closed' })
})

test('a client exports it page by page, with vectors and deleted rows', async () => {
  await shared.wipe()
  const tide = await lonelyClient(await createPgliteStore({ schema: shippedSchema, open: async () => shared.database }))
  const projectId = newId()
  const embedding = Float32Array.from({ length: 384 }, (_, index) => index / 384)
  const memory = { projectId, scope: 'project', agentId: newId(), content: 'Kept', embedding } as const
  await tide.transaction(async (tx) => {
    for (let index = 0; index < 60; index += 1) await tx.memories.insert(memory)
  })
  const [first] = await tide.memories.find({ limit: 1 })
  await tide.memories.delete(String(first?.id))
  const found = rowsOf(await linesOf(await tide.export()), 'memories')
  expect(found).toHaveLength(60)
  for (const { row } of found) expect(vectorFromBase64(String(row['embedding']))).toEqual(embedding)
  expect(found.find(({ row }) => row['id'] === first?.id)?.row['deletedAt']).toBeTypeOf('string')
  await tide.close()
})

test('what cannot be made durable is not written later: the replica answers nothing more until it is opened again', async () => {
  await shared.wipe()
  let isFull = false
  const open = async (): Promise<PGliteLike> => ({
    ...shared.database,
    flush: async () => {
      if (isFull) throw new DOMException('The quota has been exceeded.', 'QuotaExceededError')
    },
  })
  const tide = await lonelyClient(await createPgliteStore({ schema: shippedSchema, open }))
  isFull = true
  const project = { name: 'One', slug: 'one' }
  await expect(tide.projects.insert(project)).rejects.toMatchObject({ code: 'replica_full' })
  isFull = false
  await expect(tide.projects.insert(project)).rejects.toMatchObject({ code: 'replica_full' })
  await expect(tide.projects.find()).rejects.toMatchObject({ code: 'replica_full' })
  await tide.close()
})

test('a database that cannot be opened or written is told by a code', async () => {
  const fails = (message: string) =>
    createPgliteStore({ schema: shippedSchema, open: () => Promise.reject(new Error(message)) })
  await expect(fails('pgdata is broken')).rejects.toMatchObject({ code: 'replica_failed' })
  await expect(fails('ENOSPC: no space left on device')).rejects.toMatchObject({ code: 'replica_full' })
  await shared.wipe()
  const store = await createPgliteStore({ schema: shippedSchema, open: async () => shared.database })
  await shared.wipe()
  await expect(store.query('tasks', {})).rejects.toMatchObject({ code: 'replica_failed' })
  await expect(store.commit({ meta: { clientSeq: 1 } })).rejects.toMatchObject({ code: 'replica_failed' })
  await store.close()
})
