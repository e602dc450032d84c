import { rowId, type Row } from '../../protocol/rows/row.ts'
import { overlay, type SentRow, type TableRows } from './prepare-rows.ts'

/** Rows of one subscription that wait for its swap, by table and id. A row staged again replaces the earlier one. */
export class MemoryStaging {
  readonly #tables = new Map<string, Map<string, SentRow>>()

  add({ table, rows, absent }: TableRows): void {
    const staged = this.#tables.get(table.name) ?? new Map<string, SentRow>()
    for (const row of rows) {
      const later = { row, absent }
      staged.set(rowId(row), absent.length === 0 ? later : overlay(staged.get(rowId(row)), later))
    }
    this.#tables.set(table.name, staged)
  }

  get(table: string, id: string): Row | undefined {
    return this.#tables.get(table)?.get(id)?.row
  }

  tables(): Iterable<readonly [string, ReadonlyMap<string, SentRow>]> {
    return this.#tables
  }
}
