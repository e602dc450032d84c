import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { belongingsContract } from './belongings-contract.ts'
import { replicaSchema } from './replica-schema.ts'

belongingsContract(() => Promise.resolve(createMemoryStore(replicaSchema)))
