import type { Json } from '../../protocol/rows/row.ts'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import type { Access } from '../scope/access.ts'
import type { DevicePrincipal, Principal } from '../scope/principal.ts'

/** What a session needs of the rooms around it; the simulation hands in others. Each throws `TideError`. */

export interface Authenticator {
  authenticate(token: string): Promise<Principal & { readonly expiresAt: number }>
}

export interface DeviceRegistry {
  /** The device of a `hello`, made when it is new. Errors: `device_principal_mismatch`, `device_revoked`, `device_cloned`. */
  register(principal: Principal, hello: Pick<UpOf<'hello'>, 'device' | 'clientSeq'>): Promise<RegisteredDevice>
}

export interface RegisteredDevice {
  readonly deviceId: string
  /** Highest counter of this device that was ever answered. */
  readonly clientSeq: number
}

export interface Pusher {
  /** Outcomes in the order of the mutations; each is stored, and a repeat gets the same. */
  push(principal: DevicePrincipal, mutations: readonly Mutation[]): Promise<readonly Outcome[]>
}

export interface Searcher {
  /** The whole `found` frame: rows that the principal may read, best first. */
  search(principal: DevicePrincipal, access: Access, request: UpOf<'search'>): Promise<Uint8Array>
}

export interface ActionCaller {
  /** Runs a named action; a repeat of `id` returns the stored result. */
  call(principal: DevicePrincipal, request: Pick<UpOf<'call'>, 'id' | 'action' | 'input'>): Promise<Json>
}
