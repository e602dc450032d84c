import { rowId, type Row } from '../../protocol/rows/row.ts'

/** Rows of one subscription that wait for its swap, by table and id. A row staged again replaces the earlier one. */
export class MemoryStaging {
  readonly #tables = new Map<string, Map<string, Row>>()

  add(table: string, rows: readonly Row[]): void {
    const staged = this.#tables.get(table) ?? new Map<string, Row>()
    for (const row of rows) staged.set(rowId(row), row)
    this.#tables.set(table, staged)
  }

  get(table: string, id: string): Row | undefined {
    return this.#tables.get(table)?.get(id)
  }

  tables(): Iterable<[string, ReadonlyMap<string, Row>]> {
    return this.#tables
  }
}
