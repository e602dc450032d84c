import type { DownOf } from '../../protocol/messages/down.ts'
import type { TideError } from '../../protocol/error.ts'
import type { ConnectionStatus } from '../connection/connection.ts'
import type { ReplicaChange } from '../replica/replica-change.ts'
import type { ReplicaState } from '../replica/replica-view.ts'

/** What happens to a replica and its connection, told to the client of a tab. */
export type EngineEvent =
  | { readonly kind: 'change'; readonly change: ReplicaChange }
  | { readonly kind: 'status' }
  | { readonly kind: 'present'; readonly message: DownOf<'present'> }
  | { readonly kind: 'refused'; readonly id: string; readonly error: TideError | null }

/** Where a tab finds the replica at the moment: in itself (`Leader`), or at another tab (`Follower`). */
export interface Backend {
  readonly state: ReplicaState
  readonly status: ConnectionStatus
  /** The subscriptions that the server refuses for good. */
  readonly refusals: ReadonlyMap<string, TideError>
  /** Throws `LeaderGone` when the tab that has the replica went away before it answered. */
  call(method: string, args: readonly unknown[]): Promise<unknown>
}

/** Whether the call was carried out is not known. */
export class LeaderGone extends Error {
  override readonly name = 'LeaderGone'
}
