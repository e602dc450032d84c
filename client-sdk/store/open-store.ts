import type { Schema } from '../../protocol/rows/table.ts'
import { createMemoryStore } from './memory-store.ts'
import type { ReplicaStore } from './store.ts'

/**
 * Where a replica is kept. `dir`: a folder, in Node. `name`: unique among the replicas of a web origin, in browsers.
 */
export type ReplicaPlace =
  | { readonly kind: 'memory' }
  | { readonly kind: 'pglite'; readonly dir: string }
  | { readonly kind: 'pglite'; readonly name: string }

/**
 * Opens the store of a replica, which is made if there is none. PGlite is loaded only when it is asked for. Throws
 * `TideError`: `replica_locked` when another process has the folder open or another tab the name, `config_invalid` when
 * the kind of place is not one of this environment.
 */
export async function openStore(replica: ReplicaPlace, schema: Schema): Promise<ReplicaStore> {
  if (replica.kind === 'memory') return createMemoryStore(schema)
  // `imports` of package.json: for browsers it is browser-pglite.ts, else node-pglite.ts, which bundlers never see.
  const { openPgliteStore } = await import('#open-pglite')
  return openPgliteStore(replica, schema)
}
