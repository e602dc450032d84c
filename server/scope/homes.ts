/**
 * Where rows are found. A row has one channel; if that is a sub-channel (`conversation/<id>`), it hangs under the
 * channels of its parent row. Some parents have guests besides: the participants of a conversation, the people in a
 * private project. Both directions are here, and must agree: from a channel to those that carry it (`homesOf`, for
 * changes) and from a followed channel to the rows it carries (`carriedBy`, for snapshots).
 */
import { columnOf, type Catalog, type CatalogTable } from '../catalog/catalog.ts'
import { isSubChannel, parseChannel } from '../../protocol/rows/channel.ts'
import type { ScopeKind, ScopeRule } from '../../protocol/rows/table.ts'
import type { SqlQuery } from './sql-query.ts'
import { grantsOf, guestsOf, type Guests } from './guests.ts'

export interface Homes {
  /** For each name the followable channels that carry it, as of the snapshot; nothing for parents that are gone. */
  homesOf(query: SqlQuery, channels: Iterable<string>): Promise<ReadonlyMap<string, readonly string[]>>
  /** The guests of a row of a table where some guests may change it; none for other tables. */
  editorsOf(query: SqlQuery, table: string, id: string): Promise<readonly Grantee[]>
  /** The kind of the names under which a table's rows are resolved, if anything hangs under them or they have guests: `conversation`. */
  kindOf(table: string): string | undefined
  /** Something can hang under a row of this name. */
  isParent(name: string): boolean
  /** Log entries under this table name say that a guest came or went (see `guests.ts`): the table that names those guests. */
  grantedBy(table: string): string | undefined
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

export interface Carried {
  readonly channel: string
  readonly organizationId: string
  readonly bind: (value: string) => string
}

export interface CarriedByAny {
  readonly channels: Iterable<string>
  readonly organizationId: string
  readonly bind: (value: string | readonly string[]) => string
}

export function createHomes(catalog: Catalog): Homes {
  const parents = parentKinds(catalog)
  const kinds = new Map([...parents].map(([kind, parent]) => [parent, kind]))
  const guests = guestsOf(catalog)
  const grants = new Map([...guests.values()].map(({ rule }) => [grantsOf(rule), rule.table]))
  const subs = [...parents].filter(([kind, parent]) => isSubChannel(`${kind}/id`) && !namesItself(guests.get(parent)))
  const subKinds = new Set(subs.map(([kind]) => kind))

  async function homesOf(query: SqlQuery, channels: Iterable<string>): Promise<ReadonlyMap<string, readonly string[]>> {
    const homes = new Map<string, readonly string[]>()
    for (const [kind, ids] of groupByKind(channels)) {
      const parent = parents.get(kind)
      if (parent === undefined) continue
      const rows = await query<{ id: string; channel: string }>({
        name: `homes_${kind}`,
        text: homesSql(parent, guests.get(parent)),
        values: [ids],
      })
      for (const [id, list] of Map.groupBy(rows, (row) => row.id))
        homes.set(
          `${kind}/${id}`,
          list.map((row) => row.channel),
        )
    }
    return unfold(query, homes)
  }

  /** A parent may itself live in a sub-channel. */
  async function unfold(
    query: SqlQuery,
    homes: Map<string, readonly string[]>,
  ): Promise<ReadonlyMap<string, readonly string[]>> {
    const nested = new Set([...homes.values()].flat().filter(isSubChannel))
    if (nested.size === 0) return homes
    const outer = await homesOf(query, nested)
    return new Map(
      [...homes].map(([name, list]) => [
        name,
        list.flatMap((home) => (nested.has(home) ? (outer.get(home) ?? []) : [home])),
      ]),
    )
  }

  function carriedBy(table: CatalogTable, alias: string, request: Carried): string | undefined {
    const { scope } = table
    if (!scope) return undefined
    const { kind, id } = parseChannel(request.channel)
    const own = ownCondition(table, scope, alias, kind, id, request)
    const guest = guests.get(table.name)?.condition(alias, kind, (column) => `${column} = ${request.bind(id)}`)
    const found = [own, guest].filter((condition) => condition !== undefined)
    if (found.length === 0) return undefined
    const organization =
      table.hasOrganization && kind !== 'global'
        ? `${alias}.organization_id = ${request.bind(request.organizationId)} and `
        : ''
    return `${organization}(${found.join(' or ')})`
  }

  function ownCondition(
    table: CatalogTable,
    scope: ScopeRule,
    alias: string,
    kind: string,
    id: string,
    request: Carried,
  ): string | undefined {
    if (scope.kind === 'via')
      return inParents(scope.parent, `${alias}.${columnOf(table, scope.column)}`, request, 'p.id')
    if (scope.kind === 'conflict_home') {
      const above = subs.map(([sub, parent]) => inParents(parent, `${alias}.channel`, request, `'${sub}/' || p.id`))
      return [
        `${alias}.channel = ${request.bind(request.channel)}`,
        ...above.filter((condition) => condition !== undefined),
      ].join(' or ')
    }
    if (scope.kind === 'global') return kind === 'global' ? 'true' : undefined
    const column = scopeColumn(table, scope, kind)
    if (column === undefined) return undefined
    const hint = column === '' ? '' : ` and ${alias}.${columnOf(table, column)} = ${request.bind(id)}`
    return `${alias}.channel = ${request.bind(request.channel)}${hint}`
  }

  function inParents(parent: string, value: string, request: Carried, selected: string): string | undefined {
    const table = catalog.byName.get(parent)
    const condition = table && carriedBy(table, 'p', request)
    return condition && `${value} in (select ${selected} from ${parent} p where ${condition})`
  }

  function carriedByAny(table: CatalogTable, alias: string, request: CarriedByAny): string {
    const channels = [...new Set([...request.channels, 'global'])]
    const named = `${request.bind(channels)}::text[]`
    const organization = once(() => request.bind(request.organizationId))
    // A parameter that the statement does not use is refused.
    const ids = new Map(
      [...groupByKind(channels)].map(([kind, list]) => [kind, once(() => `${request.bind(list)}::uuid[]`)]),
    )
    const visible = (of: CatalogTable, as: string): string => {
      const found = [`${as}.channel = any(${named})`]
      for (const [kind, list] of ids) {
        const guest = guests.get(of.name)?.condition(as, kind, (column) => `${column} = any(${list()})`)
        if (guest !== undefined) found.push(guest)
      }
      found.push(...hangsUnder(of, as))
      const own = of.hasOrganization
        ? `(${as}.organization_id = ${organization()} or ${as}.organization_id is null) and `
        : ''
      return `${own}(${found.join(' or ')})`
    }
    const hangsUnder = (of: CatalogTable, as: string): readonly string[] => {
      const { scope } = of
      const inside = (parent: string, value: string, selected: (alias: string) => string): readonly string[] => {
        const above = catalog.byName.get(parent)
        const inner = `${as}p`
        return above
          ? [`${value} in (select ${selected(inner)} from ${parent} ${inner} where ${visible(above, inner)})`]
          : []
      }
      if (scope?.kind === 'via') {
        const column = columnOf(of, scope.column)
        return inside(scope.parent, `${as}.${column}`, (inner) => `${inner}.id`)
      }
      if (scope?.kind !== 'conflict_home') return []
      return subs.flatMap(([sub, parent]) => inside(parent, `${as}.channel`, (inner) => `'${sub}/' || ${inner}.id`))
    }
    return visible(table, alias)
  }

  return {
    homesOf,
    async editorsOf(query, table, id) {
      const text = guests.get(table)?.editors
      return text === undefined ? [] : query<Grantee>({ name: `editors_${table}`, text, values: [id] })
    },
    carriedBy,
    carriedByAny,
    kindOf: (table) => kinds.get(table),
    isParent: (name) => subKinds.has(parseChannel(name).kind),
    grantedBy: (table) => grants.get(table),
    parentOf: (kind) => parents.get(kind),
    tablesIn: (kind) =>
      [...catalog.synced.values()].filter(
        ({ scope }) => scope?.kind === 'conflict_home' || (scope?.kind === 'via' && scope.channel === kind),
      ),
  }
}

function once(make: () => string): () => string {
  let made: string | undefined
  return () => (made ??= make())
}

function namesItself(guests: Guests | undefined): boolean {
  return guests?.rule.column === 'id'
}

/** Kind of name → table of the rows that have such names. */
function parentKinds(catalog: Catalog): ReadonlyMap<string, string> {
  const parents = new Map<string, string>()
  for (const { name, scope, descriptor } of catalog.synced.values()) {
    if (scope?.kind === 'via') parents.set(scope.channel, scope.parent)
    // Their rows have guests though nothing hangs under them: `project/<id>` is followed by name, and a membership is itself.
    const { guests } = descriptor
    if (guests?.ownChannel !== undefined) parents.set(guests.ownChannel, name)
    else if (guests?.table === name) parents.set(name, name)
  }
  return parents
}

function groupByKind(channels: Iterable<string>): ReadonlyMap<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const { kind, id } of new Set([...channels]).values().map(parseChannel))
    groups.set(kind, [...(groups.get(kind) ?? []), id])
  return groups
}

function homesSql(parent: string, guests: Guests | undefined): string {
  const own = `select p.id::text as id, p.channel from ${parent} p where p.id = any($1::uuid[])`
  return guests ? `${own} union ${guests.homes}` : own
}

/**
 * The column that names the scope of the rows of a channel of this kind: it has an index, which `channel` has not.
 * '' when there is none but rows may be there; undefined when no row can.
 */
function scopeColumn(table: CatalogTable, scope: ScopeRule, kind: string): string | undefined {
  if (scope.kind === 'columns') {
    const column = scope.columns.find((entry) => entry.scope === kind)?.column
    if (column !== undefined) return column
    if (kind === 'organization') return scope.fallback ? 'organizationId' : undefined
    return kind === 'global' &&
      table.sqlColumns.some(({ property, nullable }) => property === 'organizationId' && nullable)
      ? ''
      : undefined
  }
  if (scope.kind === 'row') return isScope(kind) ? `${kind}Id` : undefined
  if (scope.kind === 'project_home')
    return ({ organization: 'organizationId', team: 'teamId', project: 'id' } as const)[kind]
  return undefined
}

function isScope(kind: string): kind is ScopeKind {
  return ['organization', 'project', 'team', 'user', 'agent'].includes(kind)
}
