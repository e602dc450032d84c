/**
 * What the scopes of an access token leave of its principal's rights. Rights themselves are read from the database each
 * time; scopes only take away. A token without scopes takes nothing away.
 *
 * - `read`: follow channels, search, be present, and call actions that change nothing
 * - `write`: that, pushes, and all actions but `tokens.issue`
 * - the name of an action: what `read` allows, and that action
 */
import { TideError } from '../../protocol/error.ts'

/** Of one token. */
export const mostScopes = 50

/** A token that is limited makes none: a new one could do more. */
const neverScoped = 'tokens.issue'

interface Scoped {
  readonly scopes?: readonly string[] | undefined
}

export function mayPush({ scopes = [] }: Scoped): boolean {
  return scopes.length === 0 || scopes.includes('write')
}

export function mayCall(
  { scopes = [] }: Scoped,
  action: { readonly name: string; readonly readOnly: boolean },
): boolean {
  if (scopes.length === 0) return true
  if (action.name === neverScoped) return false
  return action.readOnly || scopes.includes('write') || scopes.includes(action.name)
}

/** Throws `invalid_value` that names the first scope that means nothing. */
export function checkScopes(scopes: readonly string[], actions: Iterable<string>): void {
  const known = new Set(['read', 'write', ...actions])
  known.delete(neverScoped)
  const wrong = scopes.find((scope) => !known.has(scope))
  if (wrong !== undefined)
    throw new TideError('invalid_value', `${JSON.stringify(wrong)} is no scope of an access token.`, {
      remedy: 'Use read, write, or names of actions but tokens.issue; none at all for all that its principal may do.',
    })
}

/** For messages. */
export function describeScopes({ scopes = [] }: Scoped): string {
  return `the scopes of its access token are ${scopes.join(', ')}`
}
