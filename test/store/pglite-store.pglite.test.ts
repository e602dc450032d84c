import { afterAll, beforeAll, expect, test } from 'vitest'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { createPgliteStore } from '../../client-sdk/store/pglite-store.ts'
import { storeContract } from '../../client-sdk/testing/testing.ts'
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
