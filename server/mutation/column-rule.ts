import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'

/**
 * How a patch of one column is decided.
 * - `server`: what a client sends is ignored and reported
 * - `fixed`: must be what the row has
 * - `counter`: only by `increment`
 * - `last`: last arrival wins
 * - `merge`: three-way against the base; `text` the same, line by line
 */
export type ColumnRule = 'server' | 'fixed' | 'counter' | 'last' | 'merge' | 'text'

/** The rule of a column: its class, where it has none its table's policy. */
export function columnRule(table: TableDescriptor, column: ColumnDescriptor): ColumnRule {
  switch (column.class) {
    case 'server':
    case 'fixed':
    case 'counter':
      return column.class
    case 'silent':
    case 'lww':
      return 'last'
    case 'text3':
      return 'text'
    default:
      if (table.policy === 'append') return 'fixed'
      // A vector is derived from other columns as a whole; there is nothing in it to merge, and its base would be
      // large.
      return table.policy === 'merge' && column.type !== 'vector' ? 'merge' : 'last'
  }
}
