import { invariant } from '../../lib/invariant.ts'
import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import type { CatalogTable } from '../catalog/catalog.ts'
import { binaryExpression } from './binary-values.ts'
import type { SelectOptions } from './row-codec.ts'

/** The columns that clients know of a table, `id` first, as a select list for `RowPacker` and `RowDecoder`. */
export function binarySelectList(table: CatalogTable, options: SelectOptions, alias = ''): string {
  const prefix = alias === '' ? '' : `${alias}.`
  return columnsOf(table, options)
    .map(([, column]) => binaryExpression(column, `${prefix}"${column.name}"`))
    .join(', ')
}

/** They by property, in the order of the select list. */
export function columnsOf(
  table: CatalogTable,
  { embeddings }: SelectOptions,
): readonly (readonly [property: string, column: ColumnDescriptor])[] {
  const columns = Object.entries(table.descriptor?.columns ?? {})
  const found = columns.filter(([, { type }]) => embeddings || type !== 'vector')
  invariant(found[0]?.[0] === 'id', `the first column of ${table.name} that travels is its id`)
  return found
}
