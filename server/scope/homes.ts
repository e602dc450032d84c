/**
 * Where rows are found. A row has one channel; if that is a sub-channel (`conversation/<id>`), it hangs under the
 * channels of its parent row. Some parents have guests besides: the participants of a conversation, the people in a
 * private project. Both directions are here, and must agree: from a channel to those that carry it (`homesOf`, for
 * changes) and from a followed channel to the rows it carries (`carriedBy`, for snapshots).
 */
import { isSubChannel, parseChannel } from '../../protocol/rows/channel.ts'
import type { Catalog, CatalogTable } from '../catalog/catalog.ts'
import { carriedBy, carriedByAny, type Carried, type CarriedByAny } from './carried.ts'
import { grantsOf, type Guests } from './guests.ts'
import { hierarchyOf, type Hierarchy } from './hierarchy.ts'
import { idsByKind } from './ids-by-kind.ts'
import type { SqlQuery } from './sql-query.ts'

/** By name of a parent, the followable channels that carry it. */
export type HomesByName = ReadonlyMap<string, readonly string[]>

export interface Homes {
  /** For each name the followable channels that carry it, as of the snapshot; nothing for parents that are gone. */
  homesOf(query: SqlQuery, names: Iterable<string>): Promise<HomesByName>
  /** The guests of a row of a table where some guests may change it; none for other tables. */
  editorsOf(query: SqlQuery, table: string, id: string): Promise<readonly Grantee[]>
  /**
   * The kind of the names under which a table's rows are resolved, if anything hangs under them or they have guests:
   * `conversation`.
   */
  kindOf(table: string): string | undefined
  /** Something can hang under a row of this name. */
  isParent(name: string): boolean
  /**
   * Log entries under this table name say that a guest came or went (see `guests.ts`): the table that names those
   * guests.
   */
  grantedBy(table: string): string | undefined
  /** Rows of this table name guests: they decide who finds rows of another table, or of their own. */
  namesGuests(table: string): boolean
  /** Tables whose rows may live in a sub-channel of this kind. */
  tablesIn(kind: string): readonly CatalogTable[]
  /** The table whose rows have names of this kind. */
  parentOf(kind: string): string | undefined
  /**
   * SQL condition that selects the rows of `alias` that a followed channel carries for an organization; undefined when
   * the table has none there. `bind` makes a parameter of a value.
   */
  carriedBy(table: CatalogTable, alias: string, request: Carried): string | undefined
  /** The same for all channels that a principal may follow, at once. */
  carriedByAny(table: CatalogTable, alias: string, request: CarriedByAny): string
}

/** A channel in which a row is found by a grant, and whether that allows to change it. */
export interface Grantee {
  readonly channel: string
  readonly edits: boolean
}

/** Homes as a catalog declares them. */
export function createHomes(catalog: Catalog): Homes {
  const hierarchy = hierarchyOf(catalog)
  const { parents, subChannels, guests } = hierarchy
  const kinds = new Map([...parents].map(([kind, parent]) => [parent, kind]))
  const naming = new Set([...guests.values()].map(({ rule }) => rule.table))
  const grants = new Map([...guests.values()].map(({ rule }) => [grantsOf(rule), rule.table]))
  return {
    homesOf: (query, names) => homesOf(hierarchy, query, names),
    async editorsOf(query, table, id) {
      const text = guests.get(table)?.editors
      return text === undefined ? [] : query<Grantee>({ name: `editors_${table}`, text, values: [id] })
    },
    kindOf: (table) => kinds.get(table),
    isParent: (name) => subChannels.has(parseChannel(name).kind),
    grantedBy: (table) => grants.get(table),
    namesGuests: (table) => naming.has(table),
    tablesIn: (kind) =>
      [...catalog.synced.values()].filter(
        ({ scope }) => scope?.kind === 'conflict_home' || (scope?.kind === 'via' && scope.channel === kind),
      ),
    parentOf: (kind) => parents.get(kind),
    carriedBy: (table, alias, request) => carriedBy(hierarchy, table, alias, request),
    carriedByAny: (table, alias, request) => carriedByAny(hierarchy, table, alias, request),
  }
}

async function homesOf(hierarchy: Hierarchy, query: SqlQuery, names: Iterable<string>): Promise<HomesByName> {
  const homes = new Map<string, readonly string[]>()
  for (const [kind, ids] of idsByKind(names)) {
    const parent = hierarchy.parents.get(kind)
    if (parent === undefined) continue
    const rows = await query<{ id: string; channel: string }>({
      name: `homes_${kind}`,
      text: homesSql(parent, hierarchy.guests.get(parent)),
      values: [ids],
    })
    for (const [id, found] of Map.groupBy(rows, (row) => row.id))
      homes.set(
        `${kind}/${id}`,
        found.map(({ channel }) => channel),
      )
  }
  // A parent may itself live in a sub-channel.
  const nested = new Set([...homes.values()].flat().filter(isSubChannel))
  return nested.size === 0 ? homes : unfold(homes, await homesOf(hierarchy, query, nested))
}

/** Puts the homes of sub-channels in their places. */
function unfold(homes: HomesByName, outer: HomesByName): HomesByName {
  const unfolded = (home: string): readonly string[] => (isSubChannel(home) ? (outer.get(home) ?? []) : [home])
  return new Map([...homes].map(([name, channels]) => [name, channels.flatMap(unfolded)]))
}

/** Selects (id, channel) of the parents `$1::uuid[]`. */
function homesSql(parent: string, guests: Guests | undefined): string {
  const own = `select p.id::text as id, p.channel from ${parent} p where p.id = any($1::uuid[])`
  return guests ? `${own} union ${guests.homes}` : own
}
