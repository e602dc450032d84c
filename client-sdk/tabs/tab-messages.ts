import type { ErrorBody } from '../../protocol/error.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { ConnectionStatus } from '../connection/connection.ts'
import type { ReplicaChange } from '../replica/replica-change.ts'
import type { StoreCommit, StoredState } from '../store/store.ts'

/**
 * What the tabs of one browser say to each other about one replica. One tab, the leader, has the replica and the
 * connection; the others follow what it tells. Everybody hears everything; `to` names the one who is meant. What one
 * tab says is heard in the order in which it was said.
 *
 *     who ─▶ leader ─▶ join ─▶ snapshot, then every step, status, …      call ─▶ (steps it caused) ─▶ answer
 */
export type TabMessage =
  /** Is there a leader? */
  | { readonly kind: 'who'; readonly from: string }
  /** I lead: from now on, or because somebody asked. `schema`: what my tables are, as text. */
  | { readonly kind: 'leader'; readonly from: string; readonly schema: string }
  | { readonly kind: 'join'; readonly from: string; readonly to: string }
  | { readonly kind: 'leave'; readonly from: string; readonly to: string }
  | { readonly kind: 'snapshot'; readonly from: string; readonly to: string; readonly snapshot: Snapshot }
  | ({ readonly kind: 'step'; readonly from: string } & TabStep)
  | { readonly kind: 'status'; readonly from: string; readonly status: WireStatus }
  | { readonly kind: 'present'; readonly from: string; readonly message: DownOf<'present'> }
  | { readonly kind: 'refused'; readonly from: string; readonly id: string; readonly error: ErrorBody | null }
  | {
      readonly kind: 'call'
      readonly from: string
      readonly to: string
      readonly id: number
      readonly method: string
      readonly args: readonly unknown[]
    }
  | {
      readonly kind: 'answer'
      readonly from: string
      readonly to: string
      readonly id: number
      readonly answer: Answer
    }

export type Answer = { readonly result: unknown } | { readonly refusal: ErrorBody } | { readonly failure: string }

/** Everything of a replica but its rows, and how its connection is. */
export interface Snapshot {
  readonly stored: StoredState
  readonly conflicts: readonly Row[]
  readonly status: WireStatus
  /** By subscription. */
  readonly refusals: readonly (readonly [id: string, error: ErrorBody])[]
}

/** One step of the replica: what to lay on a copy of its state, and what to tell listeners. */
export interface TabStep {
  readonly records: Pick<StoreCommit, 'outbox' | 'states' | 'subscriptions' | 'meta'>
  readonly change: ReplicaChange
  /** All own open conflicts, if the step may have changed them. */
  readonly conflicts: readonly Row[] | null
}

/** Errors do not cross between tabs as they are. */
export type WireStatus = Omit<ConnectionStatus, 'error'> & { readonly error?: ErrorBody }
