import { isSubChannel } from '../../protocol/rows/channel.ts'
import { filterToSql } from '../../protocol/rows/filter-sql.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { hangs, leavesOutParent, leavesOutDeciding, names, type Tables } from './holding.ts'
import { identifier } from './pglite-ddl.ts'
import type { Executor } from './pglite-like.ts'
import { channelSql, isReached, isUntold, type ChannelSql } from './pglite-reach.ts'
import type { Purge, Swap } from './store.ts'

/** The rules of `holding.ts` as SQL. Alias of the row in question. */
const self = 'held'

/** One statement, so that all rows are judged before the first one goes and each can still be traced to the channel. */
export async function dropHeld(database: Executor, tables: Tables, { subscription, others }: Swap): Promise<void> {
  const params: unknown[] = []
  const deletes = [...tables.values()]
    // Nothing comes down for tables that only go up: what is here was written here.
    .filter((table) => table.direction !== 'up' && names(subscription, table))
    .map((table) => {
      const reached = mayReach(tables, table, subscription, params)
      return deleteSql(table, `${reached} and not ${heldByAny(tables, table, others, params)}`)
    })
  if (deletes.length === 0) return
  const steps = deletes.map((text, number) => `d${number} as (${text})`)
  await database.query(`with ${steps.join(', ')} select 1`, params)
}

/** Parents go before their children, so that children of a parent that went are seen to have none. */
export async function purge(database: Executor, tables: Tables, { channel, tables: only, keep }: Purge): Promise<void> {
  for (const table of tables.values()) {
    const named = only === undefined || only.includes(table.name)
    if (!named && !hangs(table)) continue
    const params: unknown[] = []
    const from = channelSql(tables, channel, params)
    const untold = isUntold(from, table, self)
    const reached = named ? isReached(from, table, self) : 'false'
    const held = heldByAny(tables, table, keep, params)
    const goes = isSubChannel(channel)
      ? `(${reached} or (${untold} and not ${held}))`
      : `((${reached} or ${untold}) and not ${held})`
    await database.query(deleteSql(table, goes), params)
  }
}

function deleteSql(table: TableDescriptor, condition: string): string {
  return `delete from public.${identifier(table.name)} as ${self} where ${condition}`
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
      const reached = mayReach(tables, table, subscription, params)
      return where === undefined
        ? reached
        : `${reached} and coalesce(${filterToSql(table, where, params, { alias: self })}, false)`
    })
  return tests.length === 0 ? 'false' : `(${tests.map((test) => `(${test})`).join(' or ')})`
}

function mayReach(tables: Tables, table: TableDescriptor, subscription: Subscription, params: unknown[]): string {
  const from: ChannelSql = channelSql(tables, subscription.channel, params)
  const reached = isReached(from, table, self)
  const ownLack = leavesOutDeciding(tables, subscription, table)
  const untold = isUntold(from, table, self, (parent) =>
    parent === undefined || table.scope.kind === 'via' ? ownLack : leavesOutParent(tables, subscription, parent),
  )
  return untold === 'false' ? reached : `(${reached} or ${untold})`
}
