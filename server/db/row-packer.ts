/**
 * The bulk way from Postgres to the wire: fields of rows, as bytes, go straight into the columns of a block, so that no
 * row and hardly a value becomes a JavaScript object. `RowDecoder` makes rows of the same bytes. `row-codec.ts` is the
 * way of statements that write.
 *
 *     const packer = new RowPacker(table, { embeddings: false }, 8_000_000)
 *     const columns = binarySelectList(table, { embeddings: false })
 *     await queryRaw(client, { text: `select ${columns} from tasks` }, packer.add)
 *     packer.end()
 */
import type { CatalogTable } from '../catalog/catalog.ts'
import type { ColumnBlock, PackedBlock } from '../../protocol/rows/block.ts'
import { readUuid } from '../../protocol/rows/uuid-bytes.ts'
import { ColumnPacker } from './column-packer.ts'
import type { TakeRow } from './raw-query.ts'
import type { SelectOptions } from './row-codec.ts'
import { columnsOf } from './select-list.ts'

export { createBulkSocket } from './bulk-socket.ts'
export { queryRaw, type TakeRow } from './raw-query.ts'
export { RowDecoder } from './row-decoder.ts'
export { binarySelectList } from './select-list.ts'

/** Packs the rows of one `binarySelectList` as they come. */
export class RowPacker {
  readonly #table: string
  readonly #names: readonly string[]
  /** Without a packer where the column is left out. */
  readonly #columns: readonly (ColumnPacker | undefined)[]
  readonly #lastId = Buffer.alloc(16)
  #rows = 0
  #room: number

  /**
   * `maxBytes`: of rows as they come, after which no more are taken. `read`: what was selected, where that is more than
   * shall be packed.
   */
  constructor(table: CatalogTable, options: SelectOptions, maxBytes: number, read: SelectOptions = options) {
    this.#room = maxBytes
    const columns = columnsOf(table, read)
    this.#table = table.name
    this.#names = columns.map(([property]) => property)
    this.#columns = columns.map(([property, column]) =>
      options.embeddings || column.type !== 'vector' ? new ColumnPacker(column, property === 'id') : undefined,
    )
  }

  get rows(): number {
    return this.#rows
  }

  /** Rows may have come that were not taken. */
  get isFull(): boolean {
    return this.#room <= 0
  }

  /** Id of the latest row that was taken. */
  get lastId(): string | undefined {
    return this.#rows === 0 ? undefined : readUuid(this.#lastId, 0)
  }

  readonly add: TakeRow = (bytes, offset) => {
    if (this.#room <= 0) return
    const columns = this.#columns
    let at = offset + 2
    bytes.copy(this.#lastId, 0, at + 4, at + 20)
    for (let index = 0; index < columns.length; index++) {
      const length =
        ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)
      at += 4
      columns[index]?.add(bytes, at, length)
      if (length > 0) at += length
    }
    this.#rows++
    this.#room -= at - offset
  }

  /** The block of all rows so far. To be called once. */
  end(): PackedBlock {
    const sections: Uint8Array[] = []
    const columns = this.#columns.flatMap((column, index): readonly ColumnBlock[] => {
      const packing = column?.end((bytes) => sections.push(bytes) - 1)
      return packing ? [{ name: this.#names[index] ?? '', ...packing }] : []
    })
    return { block: { table: this.#table, count: this.#rows, columns }, sections }
  }
}
