import type { CatalogTable } from '../catalog/catalog.ts'
import { blankRow } from '../../protocol/rows/block-codec.ts'
import type { Row, Value } from '../../protocol/rows/row.ts'
import { binaryDecoder, type Decode } from './binary-values.ts'
import type { TakeRow } from './raw-query.ts'
import type { SelectOptions } from './row-codec.ts'
import { columnsOf } from './select-list.ts'

/** Makes canonical rows of what a `binarySelectList` gives: a third of the work of the way by text. */
export class RowDecoder {
  readonly rows: Row[] = []
  readonly #blank: Row
  readonly #columns: readonly { readonly property: string; readonly decode: Decode }[]

  constructor(table: CatalogTable, options: SelectOptions) {
    const columns = columnsOf(table, options)
    this.#blank = blankRow(columns.map(([property]) => property))
    this.#columns = columns.map(([property, column]) => ({ property, decode: binaryDecoder(column) }))
  }

  readonly add: TakeRow = (bytes, offset) => {
    const row: Record<string, Value> = { ...this.#blank }
    let at = offset + 2
    for (const { property, decode } of this.#columns) {
      const length = bytes.readInt32BE(at)
      at += 4
      if (length < 0) continue
      row[property] = decode(bytes, at, at + length)
      at += length
    }
    this.rows.push(row)
  }
}
