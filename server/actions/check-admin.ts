import { TideError } from '../../protocol/error.ts'
import type { ActionContext } from './action.ts'

type Caller = Pick<ActionContext, 'principal' | 'access'>

/** Whether the caller is an admin or owner of the organization. */
export function isAdmin({ principal, access }: Caller): boolean {
  const role = access.channels.get(`organization/${principal.organizationId}`)
  return role === 'admin' || role === 'owner'
}

/** Throws `forbidden` unless the caller is an admin or owner of the organization. */
export function checkAdmin(caller: Caller, what: string): void {
  if (!isAdmin(caller)) throw new TideError('forbidden', `To ${what} takes an admin of the organization.`)
}
