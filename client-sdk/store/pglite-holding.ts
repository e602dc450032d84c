import { isSubChannel } from '../../protocol/rows/channel.ts'
import { filterToSql } from '../../protocol/rows/filter-sql.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { hangingUnder, hangs, leavesOutParent, leavesOutDeciding, names, type Tables } from './holding.ts'
import { identifier } from './pglite-ddl.ts'
import type { Executor } from './pglite-like.ts'
import { channelSql, isReached, isUnder, isUntold, type ChannelSql } from './pglite-reach.ts'
import type { Outdated, Purge, Swap } from './store.ts'

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
  await runAtOnce(database, deletes, params)
}

async function isEmpty(database: Executor, { name }: TableDescriptor): Promise<boolean> {
  const { rows } = await database.query(`select 1 from public.${identifier(name)} limit 1`)
  return rows.length === 0
}

async function runAtOnce(database: Executor, deletes: readonly string[], params: unknown[]): Promise<void> {
  if (deletes.length === 0) return
  const steps = deletes.map((text, number) => `d${number} as (${text})`)
  await database.query(`with ${steps.join(', ')} select 1`, params)
}

/** Rows of tables that one of `naming` names, which hang under these, and that none of `held` holds. */
export async function dropUnder(
  database: Executor,
  tables: Tables,
  { table: parent, ids, held }: Outdated,
  naming = held,
): Promise<void> {
  if (ids.length === 0) return
  const children: TableDescriptor[] = []
  for (const table of hangingUnder(tables, parent))
    if (naming.some((one) => names(one, table)) && !(await isEmpty(database, table))) children.push(table)
  const params: unknown[] = [ids]
  const deletes = children.map((table) => {
    const under = isUnder(tables, table, parent, self, '$1::uuid[]')
    return deleteSql(table, `${under} and not ${heldByAny(tables, table, held, params)}`)
  })
  await runAtOnce(database, deletes, params)
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
