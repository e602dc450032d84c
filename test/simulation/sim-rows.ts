import type { Row } from '../../protocol/rows/row.ts'
import { rowId } from '../../protocol/rows/row.ts'

/**
 * Rows of all tables, with a layer of changes on top that can be kept or dropped: what a transaction or savepoint is.
 */
export class SimRows {
  readonly #below: SimRows | null
  readonly #tables = new Map<string, Map<string, Row>>()

  constructor(below: SimRows | null = null) {
    this.#below = below
  }

  get(table: string, id: string): Row | undefined {
    return this.#tables.get(table)?.get(id) ?? this.#below?.get(table, id)
  }

  put(table: string, row: Row): void {
    const rows = this.#tables.get(table) ?? new Map<string, Row>()
    this.#tables.set(table, rows.set(rowId(row), row))
  }

  all(table: string): readonly Row[] {
    if (this.#below === null) return [...(this.#tables.get(table)?.values() ?? [])]
    const rows = new Map(this.#below.all(table).map((row) => [rowId(row), row]))
    for (const [id, row] of this.#tables.get(table) ?? []) rows.set(id, row)
    return [...rows.values()]
  }

  /** What this layer changed, by table. */
  changes(): ReadonlyMap<string, ReadonlyMap<string, Row>> {
    return this.#tables
  }

  /** Goes back to what another one holds. */
  restore(from: SimRows): void {
    this.#tables.clear()
    for (const [table, rows] of from.changes()) this.#tables.set(table, new Map(rows))
  }

  /** Moves this layer's changes into the one below. */
  keep(): void {
    for (const [table, rows] of this.#tables) for (const row of rows.values()) this.#below?.put(table, row)
    this.#tables.clear()
  }
}
