import type { CheckSpec, ColumnMap, ColumnSpec, IndexSpec } from './column.ts'
import { toColumnName } from './orm-property.ts'

/** Longest identifier PostgreSQL keeps. */
const longestName = 63

interface OrmIndex {
  readonly name: string
  readonly properties?: string[]
  readonly expression?: string
  readonly where?: string
}

export function toOrmCheck(table: string, check: CheckSpec) {
  return { name: `${table}_${check.name}_check`, expression: check.expression }
}

/**
 * The indexes as MikroORM takes them, and one for each foreign key that leads none of them: deletes of the parent
 * would scan otherwise. Columns that only name an author or origin are left out, for people, agents and devices are
 * anonymised or revoked, not deleted. Partial unique keys and operator classes are written out as SQL; MikroORM
 * compares those by name, so a change needs a new name.
 */
export function toOrmIndexes(table: string, columns: ColumnMap, indexes: readonly IndexSpec[]) {
  const led = new Set(indexes.filter(leadsLookups).map((index) => index.columns[0]))
  const foreign = Object.entries(columns)
    .filter(([property, { spec }]) => needsIndex(spec) && !led.has(property))
    .map(([property]): IndexSpec => ({ columns: [property], kind: 'btree', unique: false }))
  const all = [...indexes, ...foreign]
  return {
    uniques: all.filter((index) => index.unique && isPlain(index)).map((index) => toOrmIndex(table, index)),
    indexes: all.filter((index) => !index.unique || !isPlain(index)).map((index) => toOrmIndex(table, index)),
  }
}

function needsIndex(spec: ColumnSpec): boolean {
  return spec.references !== undefined && !spec.author
}

/** An index that finds all rows of a parent. */
function leadsLookups(index: IndexSpec): boolean {
  return index.kind === 'btree' && index.where === undefined
}

function isPlain(index: IndexSpec): boolean {
  return index.kind === 'btree' && index.where === undefined && !index.nullsNotDistinct && !index.include
}

function toOrmIndex(table: string, index: IndexSpec): OrmIndex {
  const name = indexName(table, index)
  if (isPlain(index)) return { name, properties: [...index.columns] }
  const columns = index.columns.map((property) => {
    const column = `"${toColumnName(property)}"`
    return index.operators ? `${column} ${index.operators}` : column
  })
  const expression = [
    `create ${index.unique ? 'unique ' : ''}index "${name}" on "${table}"`,
    index.kind === 'btree' ? '' : ` using ${index.kind}`,
    ` (${columns.join(', ')})`,
    index.include ? ` include (${index.include.map(toColumnName).join(', ')})` : '',
    index.nullsNotDistinct ? ' nulls not distinct' : '',
    index.kind === 'hnsw' ? ' with (m = 16, ef_construction = 64)' : '',
    index.where ? ` where ${index.where}` : '',
  ].join('')
  return { name, expression }
}

/** `<table>_<columns>_<kind>`, cut in the middle where PostgreSQL would cut it at the end. */
function indexName(table: string, index: IndexSpec): string {
  const kind = index.unique
    ? 'key'
    : index.kind === 'btree'
      ? 'idx'
      : index.operators === 'gin_trgm_ops'
        ? 'trgm'
        : index.kind
  const columns = index.columns.map(toColumnName).join('_')
  const room = longestName - table.length - kind.length - 2
  return `${table}_${columns.slice(0, room)}_${kind}`
}
