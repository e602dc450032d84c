/**
 * From followed channels to the rows they carry, in SQL: rows that are in a channel themselves, rows whose guests
 * follow it, and what hangs under such rows.
 */
import { globalChannel, parseChannel } from '../../protocol/rows/channel.ts'
import { scopeKinds, type ScopeRule } from '../../protocol/rows/table.ts'
import { columnOf, type CatalogTable } from '../catalog/catalog.ts'
import type { Guests } from './guests.ts'
import type { Hierarchy } from './hierarchy.ts'
import { idsByKind } from './ids-by-kind.ts'

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

/** Conditions over the rows of `alias`, for what is followed. */
interface Followed {
  /** The row is there itself; undefined: none can be. */
  readonly own: (table: CatalogTable, alias: string) => string | undefined
  /** A guest of the row is there: one condition for each kind of guests. */
  readonly guests: (guests: Guests, alias: string) => ReadonlyArray<string | undefined>
  /** The row is of the organization, where its table has one; undefined: of whichever. */
  readonly organization: (alias: string) => string | undefined
}

/** Condition for the rows of `alias` that one channel carries; undefined when the table has none there. */
export function carriedBy(
  hierarchy: Hierarchy,
  table: CatalogTable,
  alias: string,
  { channel, organizationId, bind }: Carried,
): string | undefined {
  const { kind, id } = parseChannel(channel)
  return carriedSql(hierarchy, table, alias, {
    own: (of, as) => {
      if (of.scope?.kind === 'global') return kind === globalChannel ? 'true' : undefined
      const column = scopeColumn(of, kind)
      if (column === undefined) return undefined
      const hint = column === '' ? '' : ` and ${as}.${columnOf(of, column)} = ${bind(id)}`
      return `${as}.channel = ${bind(channel)}${hint}`
    },
    guests: (guests, as) => [guests.condition(as, kind, (column) => `${column} = ${bind(id)}`)],
    organization: (as) => (kind === globalChannel ? undefined : `${as}.organization_id = ${bind(organizationId)}`),
  })
}

/** Condition for the rows of `alias` that one of the channels, or the global one, carries. */
export function carriedByAny(
  hierarchy: Hierarchy,
  table: CatalogTable,
  alias: string,
  { channels, organizationId, bind }: CarriedByAny,
): string {
  const followed = [...new Set([...channels, globalChannel])]
  // A parameter that the statement does not use is refused.
  const named = once(() => `${bind(followed)}::text[]`)
  const organization = once(() => bind(organizationId))
  const ids = [...idsByKind(followed)].map(([kind, list]) => [kind, once(() => `${bind(list)}::uuid[]`)] as const)
  const condition = carriedSql(hierarchy, table, alias, {
    own: (_, as) => `${as}.channel = any(${named()})`,
    guests: (guests, as) =>
      ids.map(([kind, list]) => guests.condition(as, kind, (column) => `${column} = any(${list()})`)),
    organization: (as) => `(${as}.organization_id = ${organization()} or ${as}.organization_id is null)`,
  })
  return condition ?? 'false'
}

function carriedSql(hierarchy: Hierarchy, table: CatalogTable, alias: string, followed: Followed): string | undefined {
  const guests = hierarchy.guests.get(table.name)
  const found = [
    followed.own(table, alias),
    ...(guests ? followed.guests(guests, alias) : []),
    ...hangsUnder(hierarchy, table, alias, followed),
  ].filter((condition) => condition !== undefined)
  if (found.length === 0) return undefined
  const organization = table.hasOrganization ? followed.organization(alias) : undefined
  return `${organization === undefined ? '' : `${organization} and `}(${found.join(' or ')})`
}

/** The row hangs under one that is carried. */
function hangsUnder(
  hierarchy: Hierarchy,
  table: CatalogTable,
  alias: string,
  followed: Followed,
): ReadonlyArray<string | undefined> {
  const { scope } = table
  const outer = `${alias}p`
  const under = (parent: string, value: string, name: string): string | undefined => {
    const above = hierarchy.tables.get(parent)
    const condition = above && carriedSql(hierarchy, above, outer, followed)
    return condition && `${alias}.${value} in (select ${name} from ${parent} ${outer} where ${condition})`
  }
  if (scope?.kind === 'via') return [under(scope.parent, columnOf(table, scope.column), `${outer}.id`)]
  if (scope?.kind !== 'conflict_home') return []
  return [...hierarchy.subChannels].map(([kind, parent]) => under(parent, 'channel', `'${kind}/' || ${outer}.id`))
}

/**
 * The column that names the scope of the rows of a channel of this kind: it has an index, which `channel` has not.
 * '' when there is none but rows may be there; undefined when no row can.
 */
function scopeColumn({ scope, sqlColumns }: CatalogTable, kind: string): string | undefined {
  switch (scope?.kind) {
    case 'columns':
      return (
        columnOfScope(scope, kind) ??
        (kind === globalChannel && sqlColumns.some(isOptionalOrganization) ? '' : undefined)
      )
    case 'row':
      return scopeKinds.some((scopeKind) => scopeKind === kind) ? `${kind}Id` : undefined
    case 'project_home':
      return ({ organization: 'organizationId', team: 'teamId', project: 'id' } as const)[kind]
    case 'conflict_home':
      return ''
    default:
      return undefined
  }
}

function columnOfScope(
  { columns, fallback }: Extract<ScopeRule, { kind: 'columns' }>,
  kind: string,
): string | undefined {
  const column = columns.find(({ scope }) => scope === kind)?.column
  return column ?? (kind === 'organization' && fallback ? 'organizationId' : undefined)
}

function isOptionalOrganization({ property, nullable }: CatalogTable['sqlColumns'][number]): boolean {
  return property === 'organizationId' && nullable
}

function once(make: () => string): () => string {
  let made: string | undefined
  return () => (made ??= make())
}
