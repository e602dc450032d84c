import { compileFilter } from '../../protocol/rows/matcher.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { Schema, ScopeRule, TableDescriptor } from '../../protocol/rows/table.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { invariant } from '../../lib/invariant.ts'

/**
 * Which subscriptions hold a row. A row is reached by a subscription when it lives in the channel, or, for `via` tables,
 * when its parent is reached; it is held when the subscription also names its table and its filter takes the row.
 *
 * A `via` row whose parent is not on the replica: a subscription that brings all parents along cannot hold it, one that
 * leaves parents out (by `tables` or `where`) may. Those that may count as holding it: a row too many is found by
 * `verify`, a row too few is missed by the user.
 */

/** The synced tables by SQL name, parents before their `via` children. */
export type Tables = ReadonlyMap<string, TableDescriptor>

export function tablesOf(schema: Schema): Tables {
  const all = new Map(Object.values(schema).map((table) => [table.name, table]))
  const ordered = new Map<string, TableDescriptor>()
  const visit = (table: TableDescriptor): void => {
    if (ordered.has(table.name)) return
    const parent = table.scope.kind === 'via' ? all.get(table.scope.parent) : undefined
    if (parent !== undefined && parent !== table) visit(parent)
    ordered.set(table.name, table)
  }
  for (const table of all.values()) visit(table)
  return ordered
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
export function leavesOut(subscription: Subscription, table: string): boolean {
  return (
    (subscription.tables !== undefined && !subscription.tables.includes(table)) ||
    subscription.where?.[table] !== undefined
  )
}

export type ViaRule = Extract<ScopeRule, { kind: 'via' }>

export type Lookup = (table: string, id: string) => Row | undefined

/** The row lives in the channel, or its parent does. `null`: its parent is not here, so the row cannot tell. */
export function reaches(
  tables: Tables,
  channel: string,
  table: TableDescriptor,
  row: Row,
  lookup: Lookup,
): boolean | null {
  if (row['channel'] === channel) return true
  if (table.scope.kind !== 'via') return false
  const parent = parentOf(table.scope, row, lookup)
  return parent === undefined ? null : reaches(tables, channel, tableOf(tables, table.scope.parent), parent, lookup)
}

function parentOf(rule: ViaRule, row: Row, lookup: Lookup): Row | undefined {
  const id = row[rule.column]
  return typeof id === 'string' ? lookup(rule.parent, id) : undefined
}

/** A test of one table's rows for many subscriptions; filters are compiled once. */
export function compileHolds(
  tables: Tables,
  table: TableDescriptor,
  subscriptions: readonly Subscription[],
  lookup: Lookup,
): (row: Row) => boolean {
  const tests = subscriptions
    .filter((subscription) => names(subscription, table))
    .map((subscription) => {
      const where = subscription.where?.[table.name]
      const matches = where === undefined ? () => true : compileFilter(table, where)
      const mayHoldOrphans = table.scope.kind === 'via' && leavesOut(subscription, table.scope.parent)
      return (row: Row): boolean =>
        (reaches(tables, subscription.channel, table, row, lookup) ?? mayHoldOrphans) && matches(row)
    })
  return (row) => tests.some((test) => test(row))
}
