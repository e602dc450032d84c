/**
 * Who finds a row besides the followers of its channel, in SQL; declared as `guests` on the table that is shared. The
 * log says in entries of their own (`grantsOf`) when a guest came or went: channel = the guest's own, old_channel = the
 * name of what it is a guest of.
 */
import type { GuestRule } from '../../protocol/rows/table.ts'
import { columnOf, type Catalog, type CatalogTable } from '../catalog/catalog.ts'

export interface Guests {
  readonly rule: GuestRule
  /** Selects (id, channel) of all guests of the parents `$1::uuid[]`. */
  readonly homes: string
  /**
   * Selects (channel, edits) of the guests of the parent `$1`: a table of guests with a column `can_edit` says who of
   * them may also change what they are guests of.
   */
  readonly editors: string | undefined
  /**
   * Rows of `alias` that guests of a kind find in their channels `kind/<id>`; undefined for kinds that are no guests.
   * `isOne` makes the condition that a column is the id of one of them.
   */
  readonly condition: (alias: string, kind: string, isOne: (column: string) => string) => string | undefined
}

/** `table_name` of the log entries that say that a guest came or went. */
export function grantsOf({ table }: GuestRule): string {
  return `${table}.grants`
}

/** By SQL name, the tables whose rows have guests. */
export function guestsOf(catalog: Catalog): ReadonlyMap<string, Guests> {
  const guests = new Map<string, Guests>()
  for (const { name, descriptor } of catalog.synced.values()) {
    const rule = descriptor?.guests
    const table = rule && catalog.byName.get(rule.table)
    if (table) guests.set(name, toSql(catalog, name, rule, table))
  }
  return guests
}

function toSql(catalog: Catalog, parent: string, rule: GuestRule, table: CatalogTable): Guests {
  const shared = columnOf(table, rule.column)
  const kinds = new Map(Object.entries(rule.by).map(([kind, property]) => [kind, columnOf(table, property)]))
  const owner = rule.owner && columnOf(catalog.byName.get(parent), rule.owner)
  const isLive = table.softDelete ? ' and g.deleted_at is null' : ''
  const isShared = (alias: string): string =>
    rule.ownChannel === undefined ? '' : `${alias}.channel = '${rule.ownChannel}/' || ${alias}.id`

  const channel = `coalesce(${[...kinds].map(([kind, column]) => `'${kind}/' || g.${column}`).join(', ')})`

  function homes(): string {
    const join = rule.ownChannel === undefined ? '' : `join ${parent} p on p.id = g.${shared} and ${isShared('p')}`
    const named = `
    select g.${shared}::text, ${channel} from ${rule.table} g ${join}
    where g.${shared} = any($1::uuid[])${isLive}`
    if (!owner) return named
    const owned = ['p.id = any($1::uuid[])', isShared('p'), `p.${owner} is not null`].filter(Boolean).join(' and ')
    return `
    select p.id::text, 'user/' || p.${owner} from ${parent} p where ${owned}
    union ${named}`
  }

  return {
    rule,
    homes: homes(),
    editors: table.sqlColumns.some(({ property }) => property === 'canEdit')
      ? `select ${channel} as channel, g.can_edit as edits from ${rule.table} g where g.${shared} = $1${isLive}`
      : undefined,
    condition: (alias, kind, isOne) => {
      const column = kinds.get(kind)
      if (column === undefined) return undefined
      const owned = owner && kind === 'user' ? `${isOne(`${alias}.${owner}`)} or ` : ''
      const named =
        rule.table === parent
          ? `${isOne(`${alias}.${column}`)}${table.softDelete ? ` and ${alias}.deleted_at is null` : ''}`
          : `${alias}.id in (select g.${shared} from ${rule.table} g where ${isOne(`g.${column}`)}${isLive})`
      return [isShared(alias), `(${owned}${named})`].filter(Boolean).join(' and ')
    },
  }
}
