import { filterToSql } from '../../protocol/rows/filter-sql.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Homes } from '../scope/homes.ts'
import type { SqlStatement } from '../scope/sql-query.ts'
import type { Selection } from './feed.ts'

export interface SelectionStatement {
  readonly catalog: Catalog
  readonly homes: Homes
  readonly selection: Selection
  readonly table: string
  /** Of alias `t`. */
  readonly columns: string
  /** Keyset: rows with greater ids, in order of id, so many. */
  readonly page?: { readonly afterId: string | null; readonly limit: number }
}

/** Selects the rows of one table that a selection holds; undefined when the channel carries none of that table. */
export function selectionSql({
  catalog,
  homes,
  selection,
  table: name,
  columns,
  page,
}: SelectionStatement): SqlStatement | undefined {
  const table = catalog.synced.get(name)
  if (!table) return undefined
  const values: unknown[] = []
  const bind = (value: string): string => `$${values.push(value)}`
  const carried = homes.carriedBy(table, 't', {
    channel: selection.channel,
    organizationId: selection.organizationId,
    bind,
  })
  if (carried === undefined) return undefined
  const conditions = [`(${carried})`]
  const where = selection.where[name]
  if (where) conditions.push(filterToSql(table.descriptor, where, values, { alias: 't' }))
  if (page?.afterId) conditions.push(`t.id > ${bind(page.afterId)}::uuid`)
  const order = page ? ` order by t.id limit ${page.limit}` : ''
  return { text: `select ${columns} from "${name}" t where ${conditions.join(' and ')}${order}`, values }
}

/**
 * One statement that says which of the tables from `first` on have rows in the channel, as indices: a channel carries
 * rows of few of its tables, and asking each would cost a bootstrap a round trip per table. Filters are left out.
 * Undefined: there is nothing to ask.
 */
export function occupiedSql(
  catalog: Catalog,
  homes: Homes,
  selection: Selection,
  first: number,
): SqlStatement | undefined {
  const values: unknown[] = []
  const bind = (value: string): string => {
    const known = values.indexOf(value)
    return `$${known >= 0 ? known + 1 : values.push(value)}`
  }
  const carried = { channel: selection.channel, organizationId: selection.organizationId, bind }
  const tests = selection.tables.flatMap((name, index) => {
    const table = index < first ? undefined : catalog.synced.get(name)
    const condition = table && homes.carriedBy(table, 't', carried)
    return condition === undefined
      ? []
      : [`case when exists (select from "${name}" t where ${condition}) then ${index} end`]
  })
  if (tests.length === 0) return undefined
  return { text: `select array_to_string(array[${tests.join(', ')}], ',')`, values }
}
