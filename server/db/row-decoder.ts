import type { CatalogTable } from '../catalog/catalog.ts'
import { blankRow } from '../../protocol/rows/block-codec.ts'
import type { Row, Value } from '../../protocol/rows/row.ts'
import { binaryDecoder, type Decode } from './binary-values.ts'
import type { SelectOptions } from './row-codec.ts'
import { columnsOf } from './select-list.ts'

/** Makes canonical rows of what a `binarySelectList` gives: a third of the work of the way by text. */
export class RowDecoder {
  readonly #blank: Row
  readonly #columns: readonly { readonly property: string; readonly decode: Decode }[]
  readonly #places: ReadonlyMap<string, number>

  constructor(table: CatalogTable, options: SelectOptions) {
    const columns = columnsOf(table, options)
    this.#blank = blankRow(columns.map(([property]) => property))
    this.#columns = columns.map(([property, column]) => ({ property, decode: binaryDecoder(column) }))
    this.#places = new Map(columns.map(([property], index) => [property, index]))
  }

  /** The row whose number of fields stands at `offset`; that number is not read. */
  decode(bytes: Buffer, offset: number): Row {
    const row: Record<string, Value> = { ...this.#blank }
    let at = offset + 2
    for (const { property, decode } of this.#columns) {
      const length = bytes.readInt32BE(at)
      at += 4
      if (length < 0) continue
      row[property] = decode(bytes, at, at + length)
      at += length
    }
    return row
  }

  /** One value of it; undefined when it has no such property. */
  decodeOne(bytes: Buffer, offset: number, property: string): Value | undefined {
    const place = this.#places.get(property)
    const column = place === undefined ? undefined : this.#columns[place]
    if (place === undefined || !column) return undefined
    let at = offset + 2
    for (let index = 0; index < place; index++) at += 4 + Math.max(0, bytes.readInt32BE(at))
    const length = bytes.readInt32BE(at)
    return length < 0 ? null : column.decode(bytes, at + 4, at + 4 + length)
  }
}
