import { parseChannel } from '../../protocol/rows/channel.ts'
import type { GuestRule, TableDescriptor } from '../../protocol/rows/table.ts'
import { subChannels, tableOf, type Tables } from './holding.ts'
import { identifier } from './pglite-ddl.ts'

/**
 * `compileReach` of `holding.ts` as SQL conditions, which are never NULL. Parents are `p1`, `p2` …, guests `g1`, `g2` …
 */
export interface ChannelSql {
  readonly tables: Tables
  readonly kind: string
  /** Parameters made at their first use: Postgres cannot tell the type of one that no text refers to. */
  readonly channel: () => string
  readonly id: () => string
}

export function channelSql(tables: Tables, channel: string, params: unknown[]): ChannelSql {
  const { kind, id } = parseChannel(channel)
  const places = new Map<string, string>()
  const bind = (value: string) => (): string => {
    const place = places.get(value) ?? `$${params.push(value)}::text`
    places.set(value, place)
    return place
  }
  return { tables, kind, channel: bind(channel), id: bind(id) }
}

/** The row lives in the channel, is shared with whose channel it is, or hangs under such a row. */
export function isReached(from: ChannelSql, table: TableDescriptor, alias: string, depth = 1): string {
  const channel = channelOf(table, alias)
  const own = channel === undefined ? [] : [`${channel} is not distinct from ${from.channel()}`]
  const guest = isGuest(from, table, alias, depth)?.sure
  const above = parentsOf(from, table, alias, depth).map((parent) =>
    parent.exists(isReached(from, parent.table, parent.alias, depth + 1)),
  )
  return anyOf([...own, ...(guest === undefined ? [] : [guest]), ...above])
}

/**
 * The row is not reached as far as can be told, but what would tell is not here: its parent (only of the tables that
 * `counts` takes), or, for which `counts` is asked with undefined, whom it is shared with.
 */
export function isUntold(
  from: ChannelSql,
  table: TableDescriptor,
  alias: string,
  counts: (parent: TableDescriptor | undefined) => boolean = () => true,
  depth = 1,
): string {
  const guest = counts(undefined) ? isGuest(from, table, alias, depth)?.untold : undefined
  const above = parentsOf(from, table, alias, depth)
    .filter((parent) => counts(parent.table))
    .map((parent) => {
      const untoldAbove = isUntold(from, parent.table, parent.alias, undefined, depth + 1)
      const orAbove = untoldAbove === 'false' ? '' : ` or ${parent.exists(untoldAbove)}`
      return `(${parent.hangs} and (not ${parent.exists()}${orAbove}))`
    })
  const reasons = [...(guest === undefined ? [] : [guest]), ...above]
  if (reasons.length === 0) return 'false'
  return `(not ${isReached(from, table, alias, depth)} and ${anyOf(reasons)})`
}

interface ParentSql {
  readonly table: TableDescriptor
  readonly alias: string
  /** The row hangs under a row of this table, here or not. */
  readonly hangs: string
  /** The row's parent is here, and such. */
  readonly exists: (condition?: string) => string
}

/** What the row may hang under: one table, or for conflicts any that names sub-channels. */
function parentsOf({ tables }: ChannelSql, table: TableDescriptor, alias: string, depth: number): readonly ParentSql[] {
  const toParent = (parent: string, hangs: string, id: string): ParentSql => {
    const name = `p${depth}`
    const exists = existsIn(parent, name, `${name}.id = ${id}`)
    return { table: tableOf(tables, parent), alias: name, hangs, exists }
  }
  const { scope } = table
  if (scope.kind === 'via') return [toParent(scope.parent, 'true', columnOf(table, alias, scope.column))]
  const channel = channelOf(table, alias)
  if (scope.kind !== 'conflict_home' || channel === undefined) return []
  return [...subChannels(tables)].map(([kind, parent]) => {
    const hangs = `coalesce(starts_with(${channel}, '${kind}/'), false)`
    return toParent(parent, hangs, `case when ${hangs} then substr(${channel}, ${kind.length + 2})::uuid end`)
  })
}

/** The row hangs under one of these rows of a table that others hang under; `ids` is an array of uuids in SQL. */
export function isUnder(tables: Tables, table: TableDescriptor, parent: string, alias: string, ids: string): string {
  const { scope } = table
  if (scope.kind === 'via') return `${columnOf(table, alias, scope.column)} = any(${ids})`
  const kinds = [...subChannels(tables)].filter(([, name]) => name === parent).map(([kind]) => kind)
  const names = kinds.map((kind) => `select '${kind}/' || id from unnest(${ids}) as id`)
  return `${channelOf(table, alias) ?? 'null'} in (${names.join(' union all ')})`
}

/** Undefined: the channel is nobody's that rows of this table are shared with. */
function isGuest(
  from: ChannelSql,
  table: TableDescriptor,
  alias: string,
  depth: number,
): { readonly sure: string; readonly untold?: string } | undefined {
  const { kind } = from
  const rule = table.guests
  const property = kind === 'user' || kind === 'agent' || kind === 'team' ? rule?.by[kind] : undefined
  if (rule === undefined || property === undefined) return undefined
  if (rule.table === table.name) return { sure: `(${isGuestRow(from, table, alias, property)})` }
  const named = isNamed(from, rule, property, `${alias}.id`, `g${depth}`)
  if (rule.ownChannel === undefined) return { sure: named.mine, untold: `(not ${named.any})` }
  const isShared = `${channelOf(table, alias) ?? 'null'} is not distinct from '${rule.ownChannel}/' || ${alias}.id::text`
  const owned =
    kind === 'user' && rule.owner !== undefined
      ? [`${columnOf(table, alias, rule.owner)}::text is not distinct from ${from.id()}`]
      : []
  // A guest is only sure to have the row that names itself: the others live in the channel of what is shared.
  return { sure: `(${isShared} and ${anyOf([...owned, named.mine])})`, untold: `(${isShared})` }
}

/** Whether one, or any, live or former, guest of the row is here. */
function isNamed(
  from: ChannelSql,
  rule: GuestRule,
  property: string,
  id: string,
  alias: string,
): { readonly mine: string; readonly any: string } {
  const guests = from.tables.get(rule.table)
  if (guests === undefined) return { mine: 'false', any: 'false' }
  const named = existsIn(rule.table, alias, `${columnOf(guests, alias, rule.column)} = ${id}`)
  return { mine: named(isGuestRow(from, guests, alias, property)), any: named() }
}

/** The row names the guest in question, and is not deleted. */
function isGuestRow(from: ChannelSql, guests: TableDescriptor, alias: string, property: string): string {
  const isLive = 'deletedAt' in guests.columns ? ` and ${columnOf(guests, alias, 'deletedAt')} is null` : ''
  return `${columnOf(guests, alias, property)}::text is not distinct from ${from.id()}${isLive}`
}

function existsIn(table: string, alias: string, is: string): (condition?: string) => string {
  return (condition) =>
    `exists (select 1 from public.${identifier(table)} as ${alias} where ${is}${condition === undefined ? '' : ` and ${condition}`})`
}

function channelOf(table: TableDescriptor, alias: string): string | undefined {
  return table.columns['channel'] === undefined ? undefined : columnOf(table, alias, 'channel')
}

function columnOf(table: TableDescriptor, alias: string, property: string): string {
  return `${alias}.${identifier(table.columns[property]?.name ?? property)}`
}

function anyOf(conditions: readonly string[]): string {
  return conditions.length === 0 ? 'false' : `(${conditions.join(' or ')})`
}
