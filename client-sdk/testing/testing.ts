/**
 * For those who write a `ReplicaStore` of their own: the suite that every store must pass, to be run by vitest.
 *
 * ```ts
 * import { storeContract } from '@tidewire/client/testing'
 * storeContract('my store', async () => myPlace())
 * ```
 */
export { storeContract, type StorePlace } from './store-contract.ts'
export { contractSchema } from './contract-schema.ts'
export type {
  NearestRequest,
  OutboxEntry,
  Purge,
  ReplicaMeta,
  ReplicaStore,
  RowState,
  StoreCommit,
  SyncedEntry,
  StoredEntry,
  StoredState,
  SubscriptionRecord,
  Swap,
} from '../store/store.ts'
