import { TideError } from '../../protocol/error.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { checkFilter } from '../../protocol/rows/filter-check.ts'
import type { Filter } from '../../protocol/rows/filter.ts'
import { compileFilter } from '../../protocol/rows/matcher.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { Selection } from './feed.ts'

/**
 * What a subscription asks for, without who asks: equal subscriptions of any number of sessions of one organization are
 * one spec, for which a batch is computed and encoded once.
 */
export interface Spec {
  /** Equal for equal specs. */
  readonly key: string
  readonly selection: Selection
  readonly tables: ReadonlySet<string>
  readonly matchers: ReadonlyMap<string, (row: Row) => boolean>
  /**
   * By table: a value that a row must have to match its filter. Tables whose filter asks for no single value are
   * absent.
   */
  readonly pins: ReadonlyMap<string, Pin>
}

export interface Pin {
  readonly column: string
  readonly value: string
}

/** The tables that travel to clients, by SQL name. */
export type DownTables = ReadonlyMap<string, TableDescriptor>

/** Checks a subscription against the schema. Throws `TideError` `unknown_table` or `bad_filter`. */
export function toSpec(
  subscription: Subscription,
  { organizationId, formFactor }: Pick<DevicePrincipal, 'organizationId' | 'formFactor'>,
  tables: DownTables,
): Spec {
  const names = [...new Set(subscription.tables ?? tables.keys())].toSorted()
  const asked = Object.fromEntries(
    Object.entries(subscription.where ?? {})
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([table, filter]) => {
        if (!names.includes(table)) throw notFollowed(table)
        return [table, checkFilter(describe(tables, table), filter)]
      }),
  )
  for (const name of names) describe(tables, name)
  const where = formFactor === 'mobile' ? forMobiles(asked, names, tables) : asked
  const selection = {
    organizationId,
    channel: subscription.channel,
    tables: names,
    where,
    embeddings: subscription.embeddings,
  }
  return {
    key: JSON.stringify(selection),
    selection,
    tables: new Set(names),
    matchers: compile(where, tables),
    pins: pinsOf(where, tables),
  }
}

/** Columns that say whether a row is for mobile devices; of these a table has one or none. */
const mobileGates = ['mobileSyncEnabled', 'mobileVisible'] as const

/**
 * A mobile device follows fewer rows of some tables, whatever it asks for. As a filter like any other it holds for
 * pages, live batches, catch-up and verification alike, and a row that changes sides comes and goes.
 */
function forMobiles(
  asked: Readonly<Record<string, Filter>>,
  names: readonly string[],
  tables: DownTables,
): Readonly<Record<string, Filter>> {
  const where: Record<string, Filter> = {}
  for (const name of names) {
    const { columns } = describe(tables, name)
    const gate = mobileGates.find((column) => column in columns)
    const filter = asked[name]
    if (gate !== undefined)
      where[name] = filter && gate in filter ? { and: [filter, { [gate]: true }] } : { ...filter, [gate]: true }
    else if (filter) where[name] = filter
  }
  return where
}

/** Only of texts and ids, whose equality is that of strings. */
function pinsOf(where: Readonly<Record<string, Filter>>, tables: DownTables): ReadonlyMap<string, Pin> {
  const pins = new Map<string, Pin>()
  for (const [table, filter] of Object.entries(where)) {
    const { columns } = describe(tables, table)
    for (const [column, condition] of Object.entries(filter)) {
      const type = columns[column]?.type
      const value = isEq(condition) ? condition.eq : condition
      if (typeof value === 'string' && (type === 'text' || type === 'uuid')) pins.set(table, { column, value })
    }
  }
  return pins
}

function isEq(condition: unknown): condition is { readonly eq: unknown } {
  return typeof condition === 'object' && condition !== null && 'eq' in condition
}

function compile(
  where: Readonly<Record<string, Filter>>,
  tables: DownTables,
): ReadonlyMap<string, (row: Row) => boolean> {
  return new Map(
    Object.entries(where).map(([table, filter]) => [table, compileFilter(describe(tables, table), filter)]),
  )
}

function describe(tables: DownTables, name: string): TableDescriptor {
  const table = tables.get(name)
  if (!table)
    throw new TideError('unknown_table', `Table ${JSON.stringify(name)} of the subscription is not sent to clients.`)
  return table
}

function notFollowed(table: string): TideError {
  return new TideError('bad_filter', `The filter of ${table} is refused: the subscription does not follow that table.`)
}
