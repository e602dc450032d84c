/**
 * The catalog: what the server knows of its tables, read once from their declarations. Everything that depends on
 * the schema (mutation, hub, scope, the wire, the SDK's types) works on it, so no table is described twice.
 *
 *     defineTable → loadCatalog() → descriptors → wire, replicas, generated client types
 *
 * Building it connects to nothing, and does not need the ORM, which a server that only syncs never loads.
 */
import type { Direction, ScopeRule, Schema, TableDescriptor } from '../../protocol/rows/table.ts'
import { reservedTableNames, toProperty } from '../../protocol/rows/table.ts'
import { TideError } from '../../protocol/error.ts'
import type { DeleteRule, TableEntity, TableSpec } from '../entities/define.ts'
import { embeddingDimension, sqlType, tableSpec, toColumnName } from '../entities/define.ts'
import { entities } from '../entities/entities.ts'
import { belongs, describeTable } from './describe-table.ts'
import { schemaHash } from './generate.ts'

export { generateSchemaModule } from './generate.ts'

/** A column as it is in the database, hidden ones included. */
export interface SqlColumn {
  readonly name: string
  /** camelCase. */
  readonly property: string
  /** As PostgreSQL writes it: `numeric(5,2)`, `timestamptz(3)`. */
  readonly sqlType: string
  readonly nullable: boolean
  readonly generated: boolean
  readonly hidden: boolean
  readonly primary: boolean
}

export interface ForeignKey {
  /** camelCase property and SQL name of the referring column. */
  readonly property: string
  readonly column: string
  /** SQL name of the table whose `id` it refers to. */
  readonly table: string
  readonly onDelete: DeleteRule
  /** True for authors and origins, which decide nothing about the row. */
  readonly author: boolean
  /** Rows are deleted and restored with the row that the key names. */
  readonly belongs: boolean
}

export interface CatalogTable {
  /** SQL name. */
  readonly name: string
  /** camelCase name, the key in `schema`. */
  readonly property: string
  readonly module: string
  readonly direction: Direction
  /** What clients know of the table; undefined for tables that never leave the server. */
  readonly descriptor: TableDescriptor | undefined
  readonly scope: ScopeRule | undefined
  readonly sqlColumns: readonly SqlColumn[]
  /** Properties that never leave the server. */
  readonly hidden: readonly string[]
  /** Properties that cannot change after the insert, besides id and organization. */
  readonly fixed: readonly string[]
  /** Properties whose changes neither raise the version nor travel. */
  readonly silent: readonly string[]
  /** SQL condition over `old` under which `fixed` columns may still change. */
  readonly openWhile: string | undefined
  /** How changes of a table that is not synced are captured, where they matter for access. */
  readonly capture: TableSpec['capture']
  readonly stamps: NonNullable<TableSpec['stamps']>
  readonly revisions: NonNullable<TableSpec['revisions']>
  /** JSON columns that are stored without secrets. */
  readonly redacted: readonly string[]
  /** Columns that carry authority, and what it takes to change them. */
  readonly guards: NonNullable<TableSpec['guards']>
  readonly foreignKeys: readonly ForeignKey[]
  /** Columns that name a row of whichever table another column names. */
  readonly polymorphic: NonNullable<TableSpec['polymorphic']>
  readonly softDelete: boolean
  readonly hasOrganization: boolean
}

/** A table that travels in at least one direction. */
export interface SyncedTable extends CatalogTable {
  readonly descriptor: TableDescriptor
}

export interface Catalog {
  /** Every table by SQL name. */
  readonly byName: ReadonlyMap<string, CatalogTable>
  /** The tables of directions rw, ro and up by SQL name. */
  readonly synced: ReadonlyMap<string, SyncedTable>
  /** The descriptors of `synced` by camelCase name: the schema that clients connect with. */
  readonly schema: Schema
  /** Fingerprint of `schema`, for the handshake. */
  readonly schemaHash: string
}

export interface CatalogOptions {
  /** Number of dimensions of embeddings where the database has another one than the entities say. */
  readonly embeddingDimension?: number
}

/**
 * By the dimension of embeddings and the names of an application's tables: reading all tables takes a quarter of a
 * second.
 */
const catalogs = new Map<string, Catalog>()

/** Reads the catalog of the shipped entities, and of those that an application has besides. */
export function loadCatalog(own: readonly TableEntity[] = [], options: CatalogOptions = {}): Catalog {
  const dimension = options.embeddingDimension ?? embeddingDimension
  const key = [dimension, ...own.map(({ meta }) => meta.tableName)].join(' ')
  const catalog = catalogs.get(key) ?? readCatalog(own, dimension)
  catalogs.set(key, catalog)
  return catalog
}

function readCatalog(own: readonly TableEntity[], dimension: number): Catalog {
  const tables = [...entities, ...own].map(({ meta }) => toCatalogTable(tableSpec(meta.tableName), dimension))
  const synced = tables.filter((table): table is SyncedTable => table.descriptor !== undefined)
  const schema = Object.fromEntries(synced.map((table) => [table.property, table.descriptor]))
  return {
    byName: new Map(tables.map((table) => [table.name, table])),
    synced: new Map(synced.map((table) => [table.name, table])),
    schema,
    schemaHash: schemaHash(schema),
  }
}

function toCatalogTable(spec: TableSpec, dimension: number): CatalogTable {
  const reserved = reservedTableNames.find((name) => name === toProperty(spec.table))
  if (reserved !== undefined && spec.direction !== 'server') {
    throw new TideError(
      'invalid_schema',
      `Table ${spec.table} would be tide.${reserved}, which clients have already. Give it another name.`,
    )
  }
  const columns = Object.entries(spec.columns)
  return {
    name: spec.table,
    property: toProperty(spec.table),
    module: spec.module,
    direction: spec.direction,
    descriptor: describeTable(spec, dimension),
    scope: spec.scope,
    sqlColumns: columns.map(([property, { spec: column }]) => ({
      name: toColumnName(property),
      property,
      sqlType: sqlType({ ...column, ...(column.type === 'vector' ? { dimension } : {}) }),
      nullable: column.nullable,
      generated: column.generated !== undefined,
      hidden: column.hidden,
      primary: column.primary,
    })),
    hidden: columns.filter(([, column]) => column.spec.hidden).map(([property]) => property),
    fixed: spec.classes?.fixed ?? [],
    silent: spec.classes?.silent ?? [],
    openWhile: spec.openWhile,
    capture: spec.capture,
    stamps: spec.stamps ?? {},
    revisions: spec.revisions ?? {},
    redacted: spec.redacted ?? [],
    guards: spec.guards ?? {},
    foreignKeys: columns.flatMap(([property, { spec: column }]) => {
      if (!column.references) return []
      const { table, onDelete } = column.references
      // Throws where no such table is declared.
      tableSpec(table)
      const key = { property, column: toColumnName(property), table, onDelete, author: column.author }
      return [{ ...key, belongs: belongs(property, column) }]
    }),
    polymorphic: spec.polymorphic ?? [],
    softDelete: 'deletedAt' in spec.columns,
    hasOrganization: 'organizationId' in spec.columns,
  }
}

/** The SQL name of a property. */
export function columnOf(table: CatalogTable | undefined, property: string): string {
  return table?.sqlColumns.find((column) => column.property === property)?.name ?? property
}
