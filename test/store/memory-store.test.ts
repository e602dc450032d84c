import { storeContract } from '../../client-sdk/testing/testing.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { ReplicaStore } from '../../client-sdk/store/store.ts'

storeContract('the memory store', async () => {
  let store: ReplicaStore | undefined
  return {
    open: async (schema) => (store ??= createMemoryStore(schema)),
    remove: async () => {},
  }
})
