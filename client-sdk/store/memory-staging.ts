import { rowId, type Row } from '../../protocol/rows/row.ts'

export interface StagedRow {
  readonly row: Row
  readonly absent: readonly string[]
}

/** Rows of one subscription that wait for its swap, by table and id. A row staged again replaces the earlier one. */
export class MemoryStaging {
  readonly #tables = new Map<string, Map<string, StagedRow>>()

  add(table: string, rows: readonly Row[], absent: readonly string[]): void {
    const staged = this.#tables.get(table) ?? new Map<string, StagedRow>()
    for (const row of rows) staged.set(rowId(row), { row, absent })
    this.#tables.set(table, staged)
  }

  get(table: string, id: string): Row | undefined {
    return this.#tables.get(table)?.get(id)?.row
  }

  tables(): Iterable<readonly [string, ReadonlyMap<string, StagedRow>]> {
    return this.#tables
  }
}
