import { parseChannel } from '../../protocol/rows/channel.ts'
import { compileFilter } from '../../protocol/rows/matcher.ts'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { GuestRule, Schema, ScopeRule, TableDescriptor } from '../../protocol/rows/table.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { invariant } from '../../lib/invariant.ts'

/**
 * Which subscriptions hold a row. A replica asks this when a subscription ends or is loaded anew: a row goes unless
 * another subscription holds it.
 *
 * A subscription holds a row when three things are true: it names the table of the row, its filter takes the row, and
 * its channel reaches the row. A channel reaches
 * - the rows that live in it: their `channel` is its name;
 * - the rows that are shared with it: a guest of the row is the user, agent or team of the channel (`GuestRule`);
 * - the rows that hang under a row that it reaches: rows of `via` tables, and conflicts that live in a sub-channel.
 *
 * For example, `user/ada` reaches a private project that Ada is a member of; the row of `project_members` decides that.
 * It reaches a message when it reaches the conversation of the message; the row of `conversations` decides that.
 *
 * The server decides the same by SQL (`server/scope/homes.ts`). A replica has only the rows that are here. Where a row
 * that decides is missing, there are two cases. A subscription that would have brought the deciding row does not hold
 * the row. A subscription that leaves the deciding row out (by `tables` or `where`) may hold it, and counts as holding
 * it: `verify` finds a row too many, nobody finds a row too few.
 */

/** The synced tables by SQL name; those that say where rows of others belong come before these, see `tablesOf`. */
export type Tables = ReadonlyMap<string, TableDescriptor>

/** Parents come before what hangs under them, and before the tables that name their guests. */
export function tablesOf(schema: Schema): Tables {
  const all = new Map(Object.values(schema).map((table) => [table.name, table]))
  const ordered = new Map<string, TableDescriptor>()
  const seen = new Set<TableDescriptor>()
  const visit = (table: TableDescriptor): void => {
    if (seen.has(table)) return
    seen.add(table)
    for (const parent of all.values()) if (parent.guests?.table === table.name) visit(parent)
    for (const name of parentNames(all, table.scope)) {
      const parent = all.get(name)
      if (parent !== undefined) visit(parent)
    }
    ordered.set(table.name, table)
  }
  for (const table of all.values()) visit(table)
  return ordered
}

/** The tables that rows under this rule may hang under. */
function parentNames(tables: Tables, scope: ScopeRule): readonly string[] {
  if (scope.kind === 'via') return [scope.parent]
  return scope.kind === 'conflict_home' ? [...subChannels(tables).values()] : []
}

/** Kind of sub-channel → SQL name of the table whose rows name them. */
export function subChannels(tables: Tables): ReadonlyMap<string, string> {
  const rules = [...tables.values()].map(({ scope }) => scope)
  return new Map(rules.flatMap((rule) => (rule.kind === 'via' ? [[rule.channel, rule.parent] as const] : [])))
}

/** Rows of the table can hang under rows of others. */
export function hangs({ scope }: TableDescriptor): boolean {
  return scope.kind === 'via' || scope.kind === 'conflict_home'
}

/** The tables whose rows can hang under rows of this one, and come from the server. */
export function hangingUnder(tables: Tables, parent: string): readonly TableDescriptor[] {
  return [...tables.values()].filter(
    ({ scope, direction }) => direction !== 'up' && parentNames(tables, scope).includes(parent),
  )
}

/**
 * The tables whose rows decide who reaches rows of this one: what these hang under and who they are shared with, all
 * the way up.
 */
export function decidingTables(tables: Tables, table: TableDescriptor): ReadonlySet<string> {
  const found = new Set<string>()
  const visit = (one: TableDescriptor): void => {
    const naming = one.guests?.table
    if (naming !== undefined && naming !== one.name && tables.has(naming)) found.add(naming)
    for (const name of parentNames(tables, one.scope)) {
      if (found.has(name)) continue
      found.add(name)
      visit(tableOf(tables, name))
    }
  }
  visit(table)
  return found
}

/** The descriptor; a table outside the schema is a bug of the replica, not of the user. */
export function tableOf(tables: Tables, name: string): TableDescriptor {
  const table = tables.get(name)
  invariant(table !== undefined, `table ${name} is in the replica's schema`)
  return table
}

export function names(subscription: Subscription, table: TableDescriptor): boolean {
  return subscription.tables === undefined || subscription.tables.includes(table.name)
}

/** The subscription leaves out rows of this table that its channel has. */
function leavesOut(subscription: Subscription, table: string): boolean {
  return (
    (subscription.tables !== undefined && !subscription.tables.includes(table)) ||
    subscription.where?.[table] !== undefined
  )
}

/** The rows of the replica that may decide. */
export interface Here {
  readonly row: (table: string, id: string) => Row | undefined
  /** All rows of the table that can matter, deleted ones too. */
  readonly rows: (table: string) => Iterable<Row>
}

/** Whether a channel reaches a row. `null`: unknown, because the row that decides it is not here. */
export type Reach = (table: TableDescriptor, row: Row) => boolean | null

/** Guests are read once, at the first row that they matter for: what is here must not change while this is in use. */
export function compileReach(tables: Tables, channel: string, here: Here): Reach {
  const { kind, id } = parseChannel(channel)
  const parents = subChannels(tables)
  const shares = new Map<string, Shares>()

  function sharesOf(rule: GuestRule, property: string): Shares {
    const known = shares.get(rule.table) ?? readShares(here, rule, property, id)
    shares.set(rule.table, known)
    return known
  }

  function isGuest({ name, guests: rule }: TableDescriptor, row: Row): boolean | null {
    const property = kind === 'user' || kind === 'agent' || kind === 'team' ? rule?.by[kind] : undefined
    if (rule === undefined || property === undefined) return false
    if (rule.table === name) return row[property] === id && isLive(row)
    if (rule.ownChannel !== undefined && row['channel'] !== `${rule.ownChannel}/${rowId(row)}`) return false
    if (kind === 'user' && rule.owner !== undefined && row[rule.owner] === id) return true
    const { mine, all } = sharesOf(rule, property)
    if (mine.has(rowId(row))) return true
    // Of those whose guests live in a channel of their own, a guest is only sure to have the row that names itself.
    return rule.ownChannel === undefined && all.has(rowId(row)) ? false : null
  }

  const reach: Reach = (table, row) => {
    if (row['channel'] === channel) return true
    const guest = isGuest(table, row)
    const parent = guest === true ? undefined : parentOf(tables, parents, table, row)
    if (parent === undefined) return guest
    const above = parent.id === undefined ? undefined : here.row(parent.table.name, parent.id)
    return either(guest, above === undefined ? null : reach(parent.table, above))
  }
  return reach
}

export interface ParentRef {
  readonly table: TableDescriptor
  readonly id: string | undefined
}

/** The row that this one hangs under; undefined if it hangs under none. `parents` as of `subChannels`. */
export function parentOf(
  tables: Tables,
  parents: ReadonlyMap<string, string>,
  { scope }: TableDescriptor,
  row: Row,
): ParentRef | undefined {
  if (scope.kind === 'via') {
    const id = row[scope.column]
    return { table: tableOf(tables, scope.parent), id: typeof id === 'string' ? id : undefined }
  }
  const channel = row['channel']
  if (scope.kind !== 'conflict_home' || typeof channel !== 'string') return undefined
  const slash = channel.indexOf('/')
  const parent = parents.get(channel.slice(0, slash))
  return parent === undefined ? undefined : { table: tableOf(tables, parent), id: channel.slice(slash + 1) }
}

interface Shares {
  /** Ids of the rows shared with the guest in question. */
  readonly mine: ReadonlySet<unknown>
  /** Ids of the rows of which at least one guest, or former guest, is here. */
  readonly all: ReadonlySet<unknown>
}

function readShares(here: Here, { table, column }: GuestRule, property: string, guest: string): Shares {
  const mine = new Set<unknown>()
  const all = new Set<unknown>()
  for (const row of here.rows(table)) {
    all.add(row[column])
    if (row[property] === guest && isLive(row)) mine.add(row[column])
  }
  return { mine, all }
}

function isLive(row: Row): boolean {
  return (row['deletedAt'] ?? null) === null
}

function either(a: boolean | null, b: boolean | null): boolean | null {
  if (a === true || b === true) return true
  return a === null || b === null ? null : false
}

/** The subscription leaves out rows that decide whether its channel reaches a row of this table. */
export function leavesOutDeciding(tables: Tables, subscription: Subscription, table: TableDescriptor): boolean {
  if (table.guests !== undefined && leavesOut(subscription, table.guests.table)) return true
  return table.scope.kind === 'via' && leavesOutParent(tables, subscription, tableOf(tables, table.scope.parent))
}

/** The subscription leaves out rows that decide whether its channel reaches what hangs under rows of this table. */
export function leavesOutParent(tables: Tables, subscription: Subscription, parent: TableDescriptor): boolean {
  return leavesOut(subscription, parent.name) || leavesOutDeciding(tables, subscription, parent)
}

/**
 * Whether the channel of the subscription reaches a row of this table. Unknown counts as said at the top of this file.
 */
export function compileMayReach(
  tables: Tables,
  table: TableDescriptor,
  subscription: Subscription,
  here: Here,
): (row: Row) => boolean {
  const reach = compileReach(tables, subscription.channel, here)
  const mayReach = leavesOutDeciding(tables, subscription, table)
  const parents = subChannels(tables)
  return (row) => {
    const reached = reach(table, row)
    if (reached !== null) return reached
    if (mayReach || table.scope.kind === 'via') return mayReach
    const parent = parentOf(tables, parents, table, row)
    return parent !== undefined && leavesOutParent(tables, subscription, parent.table)
  }
}

/** A test of one table's rows for many subscriptions; filters are compiled once. */
export function compileHolds(
  tables: Tables,
  table: TableDescriptor,
  subscriptions: readonly Subscription[],
  here: Here,
): (row: Row) => boolean {
  const tests = subscriptions
    .filter((subscription) => names(subscription, table))
    .map((subscription) => {
      const where = subscription.where?.[table.name]
      const matches = where === undefined ? () => true : compileFilter(table, where)
      const mayReach = compileMayReach(tables, table, subscription, here)
      return (row: Row): boolean => mayReach(row) && matches(row)
    })
  return (row) => tests.some((test) => test(row))
}
