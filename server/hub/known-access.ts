import { BoundedMap } from '../../lib/bounded-map.ts'
import type { Access } from '../scope/access.ts'
import { principalKey, type DevicePrincipal } from '../scope/principal.ts'

const maxPrincipals = 1000

/**
 * One object for equal accesses of a principal: a fleet of agents that comes with one identity holds its channels once.
 */
export class KnownAccess {
  readonly #known = new BoundedMap<string, Access>(maxPrincipals)

  /** The access itself, or an equal one that is known. */
  share(principal: DevicePrincipal, access: Access): Access {
    if (!access.active) return access
    const key = principalKey(principal)
    const known = this.#known.get(key)
    const shared = known && isEqual(known, access) ? known : access
    this.#known.set(key, shared)
    return shared
  }
}

function isEqual(a: Access, b: Access): boolean {
  if (a === b) return true
  if (a.channels.size !== b.channels.size) return false
  for (const [channel, role] of a.channels) if (b.channels.get(channel) !== role) return false
  return true
}
