import { columnClasses, columnTypes } from '../../protocol/rows/table.ts'
import type { ColumnClass, ColumnDescriptor, ColumnType, TableDescriptor } from '../../protocol/rows/table.ts'
import { TideError } from '../../protocol/error.ts'
import type { ColumnSpec, TableSpec } from '../entities/define.ts'
import { tableSpec, toColumnName } from '../entities/define.ts'

/**
 * Whether rows belong to those that the column names: they are deleted and restored with them. Tenancy and authorship
 * are not belonging.
 */
export function belongs(property: string, { references, author }: Pick<ColumnSpec, 'references' | 'author'>): boolean {
  return references?.onDelete === 'cascade' && !author && property !== 'organizationId'
}

/** What clients learn of a table: no hidden columns, no indexes, no CHECK that SQL alone can say. */
export function describeTable(spec: TableSpec, embeddingDimension: number): TableDescriptor | undefined {
  if (spec.direction === 'server') return undefined
  if (!spec.scope) {
    throw new TideError(
      'invalid_schema',
      `Table ${spec.table} travels but has no scope. Add \`scope\`, or direction 'server'.`,
    )
  }
  const columns = Object.entries(spec.columns)
    .filter(([, column]) => !column.spec.hidden)
    .map(([property, column]) => [property, describeColumn(spec, property, column.spec, embeddingDimension)])
  return {
    name: spec.table,
    direction: spec.direction,
    policy: spec.policy,
    writers: spec.writers ?? [],
    scope: spec.scope,
    ...(spec.guests ? { guests: spec.guests } : {}),
    ...(spec.naturalKey ? { naturalKey: spec.naturalKey } : {}),
    ...(spec.exclusive ? { exclusive: spec.exclusive } : {}),
    ...(spec.transitions ? { transitions: spec.transitions } : {}),
    columns: Object.fromEntries(columns),
  }
}

function describeColumn(
  table: TableSpec,
  property: string,
  spec: ColumnSpec,
  embeddingDimension: number,
): ColumnDescriptor {
  const columnClass = classOf(table, property, spec)
  const optional =
    spec.nullable || spec.default !== undefined || spec.defaultSql !== undefined || columnClass === 'server'
  return {
    name: toColumnName(property),
    type: wireType(table.table, property, spec),
    ...(spec.nullable ? { nullable: true } : {}),
    ...(optional ? { optional: true } : {}),
    ...defined('default', spec.default),
    ...defined('values', spec.values),
    ...defined('class', columnClass),
    ...defined('precision', spec.precision),
    ...defined('scale', spec.scale),
    ...defined('dimension', spec.type === 'vector' ? embeddingDimension : undefined),
    ...defined('minLength', spec.minLength),
    ...defined('maxLength', spec.maxLength),
    ...defined('min', spec.min),
    ...defined('max', spec.max),
    ...defined('references', reachable(table, property, spec, columnClass)),
    ...(isTakenAlong(table, property, spec) ? { belongs: true } : {}),
  }
}

/**
 * Whether a soft delete takes rows along by this column, so that a replica can show it before the server has done it.
 */
function isTakenAlong(table: TableSpec, property: string, spec: ColumnSpec): boolean {
  if (spec.references === undefined || !belongs(property, spec)) return false
  const parent = tableSpec(spec.references.table)
  return parent.direction !== 'server' && [table, parent].every(({ columns }) => 'deletedAt' in columns)
}

/**
 * The table that a client's value must name a row of. What never leaves the server cannot be named by a client, so such
 * a column is the server's to fill.
 */
function reachable(
  table: TableSpec,
  property: string,
  spec: ColumnSpec,
  columnClass: ColumnClass | undefined,
): string | undefined {
  const target = spec.references?.table
  if (target === undefined || tableSpec(target).direction !== 'server') return target
  if (columnClass === 'server') return undefined
  throw new TideError(
    'invalid_schema',
    `Column ${table.table}.${property} travels and refers to ${target}, whose rows never leave the server. Make it of class server, or hide it.`,
  )
}

/**
 * A column may be of two classes (a counter that is silent as well); clients are told the first in the order of
 * `columnClasses`, which is the one that decides what they may send.
 */
function classOf(table: TableSpec, property: string, spec: ColumnSpec): ColumnClass | undefined {
  if (spec.server || spec.generated !== undefined) return 'server'
  return columnClasses.find((columnClass) => table.classes?.[columnClass]?.includes(property))
}

function wireType(table: string, property: string, spec: ColumnSpec): ColumnType {
  if (spec.type === 'smallint') return 'integer'
  const type = columnTypes.find((known) => known === spec.type)
  if (type) return type
  throw new TideError(
    'invalid_schema',
    `Column ${table}.${property} has type ${spec.type}, which does not travel. Hide it.`,
  )
}

function defined<Key extends keyof ColumnDescriptor>(
  key: Key,
  value: ColumnDescriptor[Key] | undefined,
): Partial<ColumnDescriptor> {
  return value === undefined ? {} : { [key]: value }
}
