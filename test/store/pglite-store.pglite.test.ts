import { afterAll, beforeAll } from 'vitest'
import { createPgliteStore } from '../../client-sdk/store/pglite-store.ts'
import { storeContract } from '../../client-sdk/testing/testing.ts'
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
