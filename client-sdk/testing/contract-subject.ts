import type { ReplicaStore } from '../store/store.ts'

/** What the tests work with: the open store, and how to close and open it again. */
export interface Subject {
  readonly store: ReplicaStore
  reopen(): Promise<ReplicaStore>
}
