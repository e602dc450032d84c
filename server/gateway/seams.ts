import type { Json } from '../../protocol/rows/row.ts'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import type { DevicePrincipal } from '../scope/principal.ts'

/**
 * What a session needs of the rooms around it, besides `auth`; the simulation hands in others. Each throws `TideError`.
 */

export interface Pusher {
  /** Outcomes in the order of the mutations; each is stored, and a repeat gets the same. */
  push(principal: DevicePrincipal, mutations: readonly Mutation[]): Promise<readonly Outcome[]>
}

export interface Searcher {
  /** The whole `found` frame: rows that the principal may read, best first. */
  search(principal: DevicePrincipal, request: UpOf<'search'>): Promise<Uint8Array>
}

export interface ActionCaller {
  /** Runs a named action; a repeat of `id` returns the stored result. */
  call(principal: DevicePrincipal, request: Pick<UpOf<'call'>, 'id' | 'action' | 'input'>): Promise<Json>
}

/** The wire under a session: ordered, and gone once closed. No method throws. */
export interface GatewayTransport {
  /** Bytes that were sent and that the client has not taken. */
  readonly unread: number
  /**
   * Calls `listener` once, when the client has taken what was sent so far, or a good part of it. One listener at a
   * time.
   */
  onceDrained(listener: () => void): void
  send(frame: Uint8Array): void
  /** The client is known: from now on frames may be as large as messages may be. */
  greeted?(): void
  close(): void
}
