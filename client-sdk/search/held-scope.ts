import type { Filter } from '../../protocol/rows/filter.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Owner } from '../replica/replica-view.ts'

/**
 * The search asks for one channel only, and an unfiltered, held subscription has all of its embeddings here: while the
 * replica is current, the server could not find more. A search that names no channel may always find more on the
 * server.
 */
export function holdsScope(
  table: TableDescriptor,
  where: Filter | undefined,
  held: readonly Subscription[],
  owner: Owner | null,
): boolean {
  const asked = where === undefined ? undefined : channelAskedFor(where, owner)
  return held.some(
    ({ channel, embeddings, tables, where: filters }) =>
      channel === asked &&
      embeddings &&
      (tables === undefined || tables.includes(table.name)) &&
      filters?.[table.name] === undefined,
  )
}

/** `{ channel }`, or `{ scope, <scope>Id }` of tables whose rows name their own scope; one's own need no id. */
function channelAskedFor(where: Filter, owner: Owner | null): string | undefined {
  const channel = equalTo(where['channel'])
  if (channel !== undefined) return channel
  const scope = equalTo(where['scope'])
  if (scope === undefined) return undefined
  const id = where[`${scope}Id`] === undefined ? ownId(scope, owner) : equalTo(where[`${scope}Id`])
  return id === undefined ? undefined : `${scope}/${id}`
}

/** Nobody reads another organization's rows, another user's, or, being an agent, another agent's. */
function ownId(scope: string, owner: Owner | null): string | undefined {
  if (scope === 'organization') return owner?.organizationId
  return owner?.principal.kind === scope ? owner.principal.id : undefined
}

function equalTo(comparison: Filter[string]): string | undefined {
  if (typeof comparison === 'string') return comparison
  if (typeof comparison !== 'object' || comparison === null || !('eq' in comparison)) return undefined
  return typeof comparison.eq === 'string' ? comparison.eq : undefined
}
