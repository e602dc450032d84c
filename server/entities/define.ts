/**
 * `defineTable` is how a table is declared, once: columns, CHECKs, indexes, foreign keys, and how it syncs. It makes
 * the MikroORM entity (the DDL and the entity's type) and keeps the sync half beside it, where `server/catalog` finds
 * it by `tableSpec(entity)`. A new table is one new file and one line in `entities.ts`.
 */
import { defineEntity } from '@mikro-orm/core'
import type { EntitySchema } from '@mikro-orm/core'
import { TideError } from '../../protocol/error.ts'
import type {
  ColumnClass,
  Direction,
  ExclusiveRule,
  GuestRule,
  Policy,
  ScopeRule,
  Writer,
} from '../../protocol/rows/table.ts'
import type { CheckSpec, ColumnMap, IndexSpec } from './column.ts'
import { toColumnName, toOrmProperty } from './orm-property.ts'
import { toOrmCheck, toOrmIndexes } from './orm-constraints.ts'

export { toColumnName } from './orm-property.ts'
export { embeddingDimension, sqlType } from './column.ts'
export type { ColumnSpec, DeleteRule } from './column.ts'

/**
 * What it takes to give a column another value, besides the right to write to its table. An insert counts as a change
 * from the column's default. Agents never pass `rank` and `role`. `server/mutation/guards.ts` keeps these rules.
 */
export type Guard =
  | {
      /** A person with at least this role where the row is, or in the organization; an admin there at an insert. */
      readonly kind: 'rank'
      readonly rank: 'admin' | 'owner'
      readonly of?: 'organization'
      /** A new row may have any value. */
      readonly insert?: 'free'
      /** Only a change away from one of these values, or to one of those of `to`, is guarded. */
      readonly from?: readonly string[]
      readonly to?: readonly string[]
      /** Of a JSON document, only what stands at these paths. */
      readonly within?: readonly (readonly string[])[]
      /** The value names the row's owner: who inserts a row as its owner has that role in it. */
      readonly owner?: true
      /**
       * The value may put the row into a team, whose roles then count: nobody puts it where their own role is higher
       * than here.
       */
      readonly team?: true
    }
  | {
      /**
       * The value is a role. Nobody gives or takes a role above their own, nor deletes or restores a row with one. What
       * changes the columns of `with` takes or gives the role too.
       */
      readonly kind: 'role'
      readonly with?: readonly string[]
    }
  | {
      /** The value says who did it: the writer, or an agent for which the writer may act. */
      readonly kind: 'author'
      readonly of: 'user' | 'agent'
    }
  | {
      /**
       * Who is here as a guest alone, such as a participant of a conversation, changes it in rows of their own only:
       * those that name them in one of these columns. An owner among the guests may change it in all rows.
       */
      readonly kind: 'host'
      readonly own: readonly string[]
    }

/** What is said of a table besides its columns. `Property` are the camelCase column names. */
export interface TableOptions<Property extends string = string> {
  /** SQL name, snake_case plural. */
  readonly table: string
  /** The folder it lives in: identity, projects, planning, … */
  readonly module: string
  readonly direction: Direction
  readonly policy: Policy
  /** Who may write, besides the server. */
  readonly writers?: readonly Writer[]
  /** Which channel a row lives in; tables that never leave the server have none. */
  readonly scope?: ScopeRule
  /**
   * Who finds its rows besides. The table that names the guests needs the triggers `log_grant_*` (`sync.log_grant`).
   */
  readonly guests?: GuestRule
  readonly naturalKey?: readonly Property[]
  /** The table needs a trigger that takes the flag from the row that had it. */
  readonly exclusive?: ExclusiveRule & { readonly flag: Property; readonly by: readonly Property[] }
  readonly transitions?: Readonly<Record<string, readonly string[]>>
  /** Columns that behave otherwise than the table's policy says. */
  readonly classes?: Readonly<Partial<Record<ColumnClass, readonly Property[]>>>
  /** JSON columns of which secrets and what is too long are taken out before anything is stored. */
  readonly redacted?: readonly Property[]
  /** Columns that carry authority. */
  readonly guards?: Readonly<Partial<Record<Property, Guard>>>
  /**
   * SQL condition over `old` under which `fixed` columns may still change: a row that is written in two steps, such as
   * a message that streams.
   */
  readonly openWhile?: string
  /**
   * Times at which a condition (SQL over the row `{}`) became true; null while it is not, unless `keep`. The columns
   * are of class `server`.
   */
  readonly stamps?: Readonly<Partial<Record<Property, { readonly when: string; readonly keep?: true }>>>
  /** Integers of class `server` that count the changes of another column: `{ dnaRevision: 'dna' }`. */
  readonly revisions?: Readonly<Partial<Record<Property, Property>>>
  /**
   * Makes captured changes of a table that is not synced: for tables that decide who may see what. SQL over the row
   * `{}`: the channel, and the columns whose change counts.
   */
  readonly capture?: { readonly channel: string; readonly watched: readonly Property[] }
  /**
   * Ids of rows of whichever table another column names, in the singular (`task`) or by its SQL name: there is no
   * foreign key, so writes and the integrity check look.
   */
  readonly polymorphic?: readonly Polymorphic<Property>[]
  readonly indexes?: readonly IndexSpec[]
  readonly checks?: Readonly<Record<string, string>>
}

export interface Polymorphic<Property extends string = string> {
  readonly type: Property
  readonly id: Property
}

/** What `defineTable` makes: a MikroORM entity of whichever type. */
export type TableEntity = EntitySchema

/** A table's declaration as the catalog reads it. */
export interface TableSpec extends TableOptions {
  readonly columns: ColumnMap
}

const specs = new Map<string, { readonly spec: TableSpec; readonly entity: EntitySchema }>()

/** Declares a table and returns its MikroORM entity. Throws when the name is taken. */
export function defineTable<const Columns extends ColumnMap>(
  options: TableOptions<keyof Columns & string> & { readonly columns: Columns },
) {
  const spec: TableSpec = options
  const { table } = options
  if (specs.has(table)) {
    throw new TideError('invalid_schema', `Table ${table} is declared twice. Give one of the two another name.`)
  }
  const columns = Object.entries(spec.columns)
  const indexes = [...columns.flatMap(([, column]) => column.spec.tableIndexes), ...(spec.indexes ?? [])]
  const properties = Object.fromEntries(
    columns.map(([name, column]) => [name, toOrmProperty(name, column.spec, entityOf)]),
  )
  const entity = defineEntity({
    name: table,
    tableName: table,
    // The columns carry the entity's type, the properties the same facts as MikroORM wants them at run time.
    properties: properties as unknown as Columns,
    checks: tableChecks(spec).map((check) => toOrmCheck(table, check)),
    ...toOrmIndexes(table, spec.columns, indexes),
  })
  specs.set(table, { spec, entity })
  return entity
}

/** The declaration behind an entity's table. Throws for tables that were not made by `defineTable`. */
export function tableSpec(table: string): TableSpec {
  return lookUp(table).spec
}

/** Foreign keys name tables, not modules: entities refer to each other in circles. */
function entityOf(table: string): EntitySchema {
  return lookUp(table).entity
}

function lookUp(table: string) {
  const found = specs.get(table)
  if (found) return found
  throw new TideError(
    'invalid_schema',
    `No table ${table} is declared. Add it with defineTable and list it in entities.ts.`,
  )
}

function tableChecks(spec: TableSpec): CheckSpec[] {
  const own = Object.entries(spec.checks ?? {}).map(([name, expression]) => ({ name, expression }))
  const ofColumns = Object.entries(spec.columns).flatMap(([property, { spec: column }]) => {
    const name = toColumnName(property)
    const check = column.check ? [{ name, expression: column.check(`"${name}"`) }] : []
    return [...check, ...column.tableChecks]
  })
  return [...ofColumns, ...own]
}
