import { filterToSql } from '../../protocol/rows/filter-sql.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { leavesOut, names, tableOf, type Tables } from './holding.ts'
import { identifier } from './pglite-ddl.ts'
import type { Executor } from './pglite-like.ts'
import type { Purge, Swap } from './store.ts'

/** The rules of `holding.ts` as SQL. Alias of the row in question; parents are `p1`, `p2` … */
const self = 'held'

/** Children go before their parents, so that each can still be traced to the channel. */
export async function dropHeld(database: Executor, tables: Tables, { subscription, others }: Swap): Promise<void> {
  for (const table of [...tables.values()].reverse()) {
    // Nothing comes down for these: what is here was written here.
    if (table.direction === 'up' || !names(subscription, table)) continue
    const params: unknown[] = []
    const reached = mayHold(tables, table, subscription, params)
    await remove(database, table, `${reached} and not ${heldByAny(tables, table, others, params)}`, params)
  }
}

/** Parents go before their children, so that children of a parent that went are seen to have none. */
export async function purge(database: Executor, tables: Tables, { channel, tables: only, keep }: Purge): Promise<void> {
  for (const table of tables.values()) {
    const named = only === undefined || only.includes(table.name)
    if (!named && table.scope.kind !== 'via') continue
    const params: unknown[] = []
    const place = `$${params.push(channel)}::text`
    const goes = [isOrphan(tables, table, place), ...(named ? [isReached(tables, table, place, self)] : [])].join(
      ' or ',
    )
    await remove(database, table, `(${goes}) and not ${heldByAny(tables, table, keep, params)}`, params)
  }
}

async function remove(database: Executor, table: TableDescriptor, condition: string, params: unknown[]): Promise<void> {
  await database.query(`delete from public.${identifier(table.name)} as ${self} where ${condition}`, params)
}

function heldByAny(
  tables: Tables,
  table: TableDescriptor,
  subscriptions: readonly Subscription[],
  params: unknown[],
): string {
  const tests = subscriptions
    .filter((subscription) => names(subscription, table))
    .map((subscription) => {
      const where = subscription.where?.[table.name]
      const reached = mayHold(tables, table, subscription, params)
      return where === undefined
        ? reached
        : `${reached} and coalesce(${filterToSql(table, where, params, { alias: self })}, false)`
    })
  return tests.length === 0 ? 'false' : `(${tests.map((test) => `(${test})`).join(' or ')})`
}

function mayHold(tables: Tables, table: TableDescriptor, subscription: Subscription, params: unknown[]): string {
  const place = `$${params.push(subscription.channel)}::text`
  const reached = isReached(tables, table, place, self)
  const mayHoldOrphans = table.scope.kind === 'via' && leavesOut(subscription, table.scope.parent)
  return mayHoldOrphans ? `(${reached} or ${isOrphan(tables, table, place)})` : reached
}

/** The row lives in the channel, or one of its parents does. */
function isReached(tables: Tables, table: TableDescriptor, place: string, alias: string, depth = 1): string {
  const channel = table.columns['channel']
  const own = channel === undefined ? 'false' : `${alias}.${identifier(channel.name)} is not distinct from ${place}`
  const parent = parentClause(tables, table, alias, depth)
  if (parent === undefined) return `(${own})`
  const above = isReached(tables, parent.table, place, parent.alias, depth + 1)
  return `(${own} or exists (${parent.select} and ${above}))`
}

/** The row does not live in the channel, and whether it hangs under it cannot be told: a parent is missing. */
function isOrphan(tables: Tables, table: TableDescriptor, place: string, alias = self, depth = 1): string {
  const parent = parentClause(tables, table, alias, depth)
  if (parent === undefined) return 'false'
  const channel = table.columns['channel']
  const elsewhere = channel === undefined ? 'true' : `${alias}.${identifier(channel.name)} is distinct from ${place}`
  const above = isOrphan(tables, parent.table, place, parent.alias, depth + 1)
  const orphanAbove = above === 'false' ? '' : ` or exists (${parent.select} and ${above})`
  return `(${elsewhere} and (not exists (${parent.select})${orphanAbove}))`
}

function parentClause(tables: Tables, table: TableDescriptor, alias: string, depth: number) {
  if (table.scope.kind !== 'via') return undefined
  const parent = tableOf(tables, table.scope.parent)
  const column = table.columns[table.scope.column]?.name ?? table.scope.column
  const parentAlias = `p${depth}`
  const select = `select 1 from public.${identifier(parent.name)} as ${parentAlias} where ${parentAlias}.id = ${alias}.${identifier(column)}`
  return { table: parent, alias: parentAlias, select }
}
