import type { Replica } from './replica.ts'

/** What a replica knows of itself at once, without asking its store. */
export type ReplicaState = Pick<
  Replica,
  'meta' | 'now' | 'subscriptions' | 'pendingCount' | 'openConflicts' | 'writes' | 'syncOf'
>

/** Whose replica this is. */
export interface Owner {
  readonly organizationId: string
  readonly principal: { readonly kind: 'user' | 'agent'; readonly id: string }
}

/** Null before the first connection. */
export function ownerOf({ meta: { organizationId, principal } }: Pick<ReplicaState, 'meta'>): Owner | null {
  return organizationId === null || principal === null ? null : { organizationId, principal }
}

/** What the rest of the SDK needs of a replica, whichever tab of a browser has it. */
export type ReplicaView = ReplicaState &
  Pick<
    Replica,
    | 'onChange'
    | 'read'
    | 'write'
    | 'addSubscription'
    | 'removeSubscription'
    | 'refetch'
    | 'serverRows'
    | 'retry'
    | 'discard'
  >
