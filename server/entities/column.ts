import { BigIntType, DecimalType, types } from '@mikro-orm/core'
import type { Json } from '../../protocol/rows/row.ts'
import type { ColumnType } from '../../protocol/rows/table.ts'
import { VectorType } from './vector-type.ts'

/** Column types of the server: those of the wire, and a few that never leave the database. */
export type ServerColumnType = ColumnType | 'smallint' | 'tsvector' | 'xid8'

/** What becomes of a row when the row it refers to is deleted. */
export type DeleteRule = 'cascade' | 'set null' | 'restrict'

/** An index as an entity declares it; columns are camelCase properties. */
export interface IndexSpec {
  readonly columns: readonly string[]
  readonly kind: 'btree' | 'gin' | 'hnsw'
  readonly unique: boolean
  readonly operators?: string
  readonly where?: string
  readonly nullsNotDistinct?: true
  /** Columns that the index carries besides, so that a query need not read the table. */
  readonly include?: readonly string[]
}

export interface CheckSpec {
  /** What follows `<table>_` and precedes `_check` in the constraint's name. */
  readonly name: string
  readonly expression: string
}

/** All that is known of a column; the ORM property, the CHECKs and the wire descriptor are all read from it. */
export interface ColumnSpec {
  readonly type: ServerColumnType
  readonly nullable: boolean
  readonly primary: boolean
  readonly hidden: boolean
  /** Filled by the server: class `server`, as in the mixins. */
  readonly server: boolean
  /** Points at the author or origin of a row, and so needs no index. */
  readonly author: boolean
  readonly default?: string | number | boolean | readonly [] | Readonly<Record<string, never>>
  readonly defaultSql?: string
  readonly generated?: string
  readonly values?: readonly string[]
  readonly references?: { readonly table: string; readonly onDelete: DeleteRule }
  readonly precision?: number
  readonly scale?: number
  readonly dimension?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly min?: number
  readonly max?: number
  /** Builds the column's CHECK from its SQL name. */
  readonly check?: (column: string) => string
  /** CHECKs and indexes over several columns that a mixin brings along. */
  readonly tableChecks: readonly CheckSpec[]
  readonly tableIndexes: readonly IndexSpec[]
}

type Nullable<Options> = Omit<Options, 'nullable'> & { nullable: true }
type Defaulted<Options> = Omit<Options, 'defaultRaw'> & { defaultRaw: string }

/**
 * One column, declared once: `text().len(1, 255).nullable()`. Handed to MikroORM's `defineEntity` as it is (it reads
 * `~options` and infers the entity's type from `~type`), so that DDL, CHECKs, entity types and wire descriptors cannot
 * drift apart. Immutable: every call returns a new column. Columns are NOT NULL unless `nullable()`.
 */
export class Column<in out Value, in out Options> {
  declare readonly '~type'?: { value: Value }
  declare readonly '~options': Options
  readonly spec: ColumnSpec

  constructor(spec: ColumnSpec) {
    this.spec = spec
  }

  #with<V, O>(change: Partial<ColumnSpec>): Column<V, O> {
    return new Column<V, O>({ ...this.spec, ...change })
  }

  nullable(): Column<Value, Nullable<Options>> {
    return this.#with({ nullable: true })
  }

  primary(): Column<Value, Options & { primary: true }> {
    return this.#with({ primary: true })
  }

  /** Never leaves the server. */
  hidden(): Column<Value, Options & { hidden: true }> {
    return this.#with({ hidden: true })
  }

  /** Filled by the server; what a client sends is ignored and reported. */
  server(): Column<Value, Options> {
    return this.#with({ server: true })
  }

  /** Names the author or origin of the row: no index of its own. */
  author(): Column<Value, Options> {
    return this.#with({ author: true })
  }

  /** A literal default, which optimistic rows on replicas show too. */
  default(value: NonNullable<ColumnSpec['default']>): Column<Value, Defaulted<Options>> {
    return this.#with({ default: value })
  }

  /** A default that only the database can compute. */
  defaultSql(expression: string): Column<Value, Defaulted<Options>> {
    return this.#with({ defaultSql: expression })
  }

  /** A stored generated column: the expression without parentheses. It may be null unless its inputs forbid it. */
  generated(expression: string): Column<Value, Defaulted<Nullable<Options>>> {
    return this.#with({ generated: expression, nullable: true })
  }

  /** Length of a text in characters, both ends included. */
  len(min: number, max: number): Column<Value, Options> {
    const check = (column: string) => `char_length(${column}) >= ${min} and char_length(${column}) <= ${max}`
    return this.#with({ minLength: min, maxLength: max, check })
  }

  /** At least `min`. */
  min(min: number): Column<Value, Options> {
    return this.#with({ min, check: (column) => `${column} >= ${min}` })
  }

  between(min: number, max: number): Column<Value, Options> {
    return this.#with({ min, max, check: (column) => `${column} >= ${min} and ${column} <= ${max}` })
  }

  /** A rule that only SQL can say. `{}` stands for the column. */
  check(expression: string): Column<Value, Options> {
    return this.#with({ check: (column) => expression.replaceAll('{}', column) })
  }

  /** A CHECK over several columns, `<table>_<name>_check`. */
  tableCheck(name: string, expression: string): Column<Value, Options> {
    return this.#with({ tableChecks: [...this.spec.tableChecks, { name, expression }] })
  }

  /** An index over several columns that comes with this one. */
  tableIndex(index: IndexSpec): Column<Value, Options> {
    return this.#with({ tableIndexes: [...this.spec.tableIndexes, index] })
  }
}

/** Any column, whatever its type. */
export interface AnyColumn {
  readonly spec: ColumnSpec
}

/** Columns by camelCase property. */
export type ColumnMap = Readonly<Record<string, AnyColumn>>

type NoOptions = Record<never, never>

function column<Value>(type: ServerColumnType, more: Partial<ColumnSpec> = {}): Column<Value, NoOptions> {
  return new Column<Value, NoOptions>({
    type,
    nullable: false,
    primary: false,
    hidden: false,
    server: false,
    author: false,
    tableChecks: [],
    tableIndexes: [],
    ...more,
  })
}

export const uuid = () => column<string>('uuid')
export const text = () => column<string>('text')
export const integer = () => column<number>('integer')
export const smallint = () => column<number>('smallint')
export const bigint = () => column<number>('bigint')
export const double = () => column<number>('double')
export const boolean = () => column<boolean>('boolean')
export const timestamp = () => column<Date>('timestamptz')
export const date = () => column<string>('date')
export const interval = () => column<string>('interval')
export const json = () => column<Json>('jsonb')
export const textArray = () => column<string[]>('text[]')
export const bytea = () => column<Uint8Array>('bytea')
export const inet = () => column<string>('inet')
export const xid8 = () => column<string>('xid8')
export const tsvector = () => column<string>('tsvector').hidden()

/** Exact decimals. Up to 15 digits a JavaScript number carries them, beyond that a decimal string does. */
export function numeric<P extends number>(precision: P, scale: number): Column<number | string, NoOptions> {
  return column<number | string>('numeric', { precision, scale })
}

/** A text with a closed list of values; the CHECK is `<table>_<column>_check`. */
export function enumeration<const Values extends readonly string[]>(values: Values): Column<Values[number], NoOptions> {
  return column<Values[number]>('text', { values })
}

/** Default number of dimensions of every embedding. */
export const embeddingDimension = 384
export const vector = () => column<Float32Array>('vector', { dimension: embeddingDimension })

/** A foreign key to the `id` of another table. The rule is always written out: it decides what a delete does. */
export function reference(table: string, onDelete: DeleteRule): Column<string, NoOptions> {
  return column<string>('uuid', { references: { table, onDelete } })
}

const ormTypes = {
  uuid: types.uuid,
  text: types.text,
  integer: types.integer,
  smallint: types.smallint,
  double: types.double,
  boolean: types.boolean,
  timestamptz: types.datetime,
  date: types.date,
  interval: types.interval,
  jsonb: types.json,
  'text[]': types.array,
  bytea: types.uint8array,
  inet: types.string,
  vector: VectorType,
  xid8: types.string,
  tsvector: types.string,
} as const

/** The type as PostgreSQL writes it. Timestamps keep milliseconds: what a client reads is exactly what is stored. */
export function sqlType(spec: ColumnSpec): string {
  switch (spec.type) {
    case 'timestamptz':
      return 'timestamptz(3)'
    case 'numeric':
      return `numeric(${spec.precision},${spec.scale})`
    case 'double':
      return 'double precision'
    case 'integer':
      return 'int'
    case 'vector':
      return `vector(${spec.dimension})`
    default:
      return spec.type
  }
}

/** The type object with which MikroORM converts values. */
export function ormType(spec: ColumnSpec): unknown {
  if (spec.type === 'bigint') return new BigIntType('number')
  if (spec.type === 'numeric') return new DecimalType((spec.precision ?? 0) <= 15 ? 'number' : 'string')
  return ormTypes[spec.type]
}
