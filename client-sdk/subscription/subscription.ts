import { TideError } from '../../protocol/error.ts'
import { checkFilter } from '../../protocol/rows/filter-check.ts'
import type { Filter } from '../../protocol/rows/filter.ts'
import { tableByName, type Schema } from '../../protocol/rows/table.ts'
import type { Subscription as SubscriptionSpec } from '../../protocol/messages/subscription.ts'
import { isRowId } from '../../lib/uuid.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import type { Owner } from '../replica/replica-view.ts'

/** What to follow: one scope, by id, or one's own. */
export type Target =
  | { readonly project: string }
  | { readonly team: string }
  | { readonly agent: string | true }
  | { readonly user: true }
  | { readonly organization: true }

/** How a scope is followed; `Name` and `Where` are narrowed to a schema by `client.ts`. */
export interface FollowOptions<Name extends string = string, Where = Readonly<Record<string, Filter>>> {
  /** SQL names or properties; absent: all synced tables. Conflicts come in any case. */
  readonly tables?: readonly Name[]
  /** Narrows tables, by SQL name or property. */
  readonly where?: Where
  /** Whether vectors are sent, so that search can run here. Default false: they are large. */
  readonly embeddings?: boolean
  /**
   * A name of the application for this wish: what is asked for later under the same name takes its place, in this run
   * or another. The former rows stay until the new ones are here. 1 to 40 letters, digits, `_`, `.` or `-`.
   */
  readonly key?: string
  /**
   * Ends the wait for the first connection, where the target is one's own and nobody knows yet whose replica this is.
   */
  readonly signal?: AbortSignal
}

/** True when the channel's name can be told without knowing whose replica this is. */
export function isSelfContained(target: Target): boolean {
  return 'project' in target || 'team' in target || ('agent' in target && target.agent !== true)
}

/**
 * The channel's name. Throws `TideError` `invalid_value` for what is no id, `offline` and `forbidden` for what is not
 * one's own.
 */
export function channelOfTarget(target: Target, owner: Owner | null): string {
  if ('project' in target) return channelOfId('project', target.project)
  if ('team' in target) return channelOfId('team', target.team)
  if ('agent' in target && target.agent !== true) return channelOfId('agent', target.agent)
  if (owner === null)
    throw new TideError(
      'offline',
      'This replica has never been connected, so its organization and principal are not known yet.',
      { remedy: 'Connect once, or subscribe to a scope by id.' },
    )
  if ('organization' in target) return `organization/${owner.organizationId}`
  const kind = 'user' in target ? 'user' : 'agent'
  if (owner.principal.kind !== kind)
    throw new TideError(
      'forbidden',
      `{ ${kind}: true } names the own ${kind} channel, but this replica belongs to the ${owner.principal.kind} ${owner.principal.id}.`,
      { remedy: 'Subscribe to an agent by its id.' },
    )
  return `${kind}/${owner.principal.id}`
}

/** Checked here: kept by the replica, a name that the server cannot read would spoil every connection to come. */
function channelOfId(kind: string, id: string): string {
  if (isRowId(id)) return `${kind}/${id}`
  throw new TideError(
    'invalid_value',
    `The target { ${kind}: ${JSON.stringify(id)} } has no id: ids are lower-case UUIDs.`,
    {
      remedy: `Give the \`id\` of a row of ${kind}s.`,
    },
  )
}

/**
 * The subscription as the protocol has it. Its id follows from what is asked for, so that asking again after a restart
 * finds what the replica already holds.
 */
export function subscriptionSpec(schema: Schema, channel: string, options: FollowOptions): SubscriptionSpec {
  // Without its conflicts a replica could neither show nor settle what its writes came to.
  const tables =
    options.tables &&
    [...new Set([...options.tables, 'sync_conflicts'].map((name) => tableByName(schema, name).name))].toSorted()
  const where = Object.fromEntries(
    Object.entries(options.where ?? {})
      .map(([name, filter]) => [tableByName(schema, name).name, filter] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, filter]) => [name, sorted(checkFilter(tableByName(schema, name), filter))] as const),
  )
  const embeddings = options.embeddings ?? false
  const hash = uuidFromKey('subscription', [channel, JSON.stringify({ tables, where, embeddings })])
  const id = options.key === undefined ? hash : keyedId(options.key, hash)
  return {
    id,
    channel,
    embeddings,
    ...(tables === undefined ? {} : { tables }),
    ...(Object.keys(where).length === 0 ? {} : { where }),
  }
}

/** The same filter, whatever the order in which its properties were written. */
function sorted<T>(value: T): T {
  if (Array.isArray(value)) return value.map(sorted) as T
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([name, part]) => [name, sorted(part)])) as T
}

/** Ids have at most 64 characters. */
function keyedId(key: string, hash: string): string {
  if (/^[\w.-]{1,40}$/.test(key)) return `${key}:${hash.replaceAll('-', '').slice(-20)}`
  throw new TideError('invalid_value', `The subscription's key ${JSON.stringify(key)} is no name.`, {
    remedy: 'Give 1 to 40 letters, digits, `_`, `.` or `-`.',
  })
}
