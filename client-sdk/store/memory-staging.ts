import { rowId, type Row } from '../../protocol/rows/row.ts'
import { blockRow, type BlockRows } from './block-rows.ts'
import { overlay, type SentRow } from './prepare-rows.ts'

/**
 * Rows of one subscription that wait for its swap, in the order in which they came. A row staged again replaces the
 * earlier one.
 */
export class MemoryStaging {
  readonly #blocks: BlockRows[] = []

  add(block: BlockRows): void {
    this.#blocks.push(block)
  }

  get blocks(): readonly BlockRows[] {
    return this.#blocks
  }

  /**
   * The rows with these ids, each as last staged. Looked for in all: few rows are ever asked for, those with pending
   * writes.
   */
  rows(table: string, ids: readonly string[]): readonly Row[] {
    if (ids.length === 0) return []
    const wanted = new Set(ids)
    const found = new Map<string, SentRow>()
    for (const block of this.#blocks) {
      if (block.table.name !== table) continue
      block.rows.forEach((row, index) => {
        const id = rowId(row)
        if (wanted.has(id)) found.set(id, overlay(found.get(id), { row: blockRow(block, index), absent: block.absent }))
      })
    }
    return ids.map((id) => found.get(id)?.row).filter((row) => row !== undefined)
  }
}
