import { invariant } from '../../lib/invariant.ts'
import { rowId, type Row, type Value } from '../../protocol/rows/row.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import { readUuid } from '../../protocol/rows/uuid-bytes.ts'
import type { CatalogTable } from '../catalog/catalog.ts'
import type { TakeRow } from './raw-query.ts'
import type { SelectOptions } from './row-codec.ts'
import { RowDecoder } from './row-decoder.ts'
import { RowPacker } from './row-packer.ts'

const chunkBytes = 256 * 1024

/**
 * A row of a `binarySelectList` as Postgres sent it. Steps of many rows keep them like this: most rows are only packed,
 * which needs no object, and an object of 45 properties costs more to make and to collect than all the rest.
 */
export class RowBytes {
  readonly #read: ReadForm
  readonly #bytes: Buffer
  readonly #offset: number
  /** As it came; vectors included where they were read. */
  readonly size: number
  #row: Row | undefined

  constructor(read: ReadForm, bytes: Buffer, offset: number, size: number) {
    this.#read = read
    this.#bytes = bytes
    this.#offset = offset
    this.size = size
  }

  get id(): string {
    // Behind the number of fields and the length of the first one, which is the id.
    return readUuid(this.#bytes, this.#offset + 6)
  }

  /** What it has in common with the rows that it can be packed with. */
  get form(): object {
    return this.#read
  }

  /** The canonical row; made when it is first asked for. */
  toRow(): Row {
    return (this.#row ??= this.#read.decoder.decode(this.#bytes, this.#offset))
  }

  /** One of its values, without making the row. */
  value(property: string): Value | undefined {
    return this.#row ? this.#row[property] : this.#read.decoder.decodeOne(this.#bytes, this.#offset, property)
  }

  /** Packs rows of one form, of which there is at least one. Vectors that were not read are left out in any case. */
  static pack(rows: readonly RowBytes[], options: SelectOptions): PackedBlock {
    const [first] = rows
    invariant(first, 'there is a row to pack')
    const form = first.#read
    const packer = new RowPacker(form.table, options, Number.POSITIVE_INFINITY, form.options)
    for (const row of rows) packer.add(row.#bytes, row.#offset, row.#offset + row.size)
    return packer.end()
  }
}

/** What was selected, and how it is read. */
interface ReadForm {
  readonly table: CatalogTable
  readonly options: SelectOptions
  readonly decoder: RowDecoder
}

const forms = new WeakMap<CatalogTable, Map<boolean, ReadForm>>()

function formOf(table: CatalogTable, options: SelectOptions): ReadForm {
  const ofTable = forms.get(table) ?? new Map<boolean, ReadForm>()
  forms.set(table, ofTable)
  const form = ofTable.get(options.embeddings) ?? { table, options, decoder: new RowDecoder(table, options) }
  ofTable.set(options.embeddings, form)
  return form
}

/** Keeps the rows of a `binarySelectList` as they come. */
export class RowKeeper {
  readonly rows: RowBytes[] = []
  readonly #form: ReadForm
  #chunk: Buffer = Buffer.alloc(0)
  #used = 0

  constructor(table: CatalogTable, options: SelectOptions) {
    this.#form = formOf(table, options)
  }

  readonly add: TakeRow = (bytes, offset, end) => {
    const size = end - offset
    if (this.#used + size > this.#chunk.length) {
      this.#chunk = Buffer.allocUnsafeSlow(Math.max(size, chunkBytes))
      this.#used = 0
    }
    bytes.copy(this.#chunk, this.#used, offset, end)
    this.rows.push(new RowBytes(this.#form, this.#chunk, this.#used, size))
    this.#used += size
  }
}

/** A row that was read, as an object or as it came. */
export type ReadRow = Row | RowBytes

export function toObject(row: ReadRow): Row {
  return row instanceof RowBytes ? row.toRow() : row
}

export function valueOf(row: ReadRow, property: string): Value | undefined {
  return row instanceof RowBytes ? row.value(property) : row[property]
}

export function idOf(row: ReadRow): string {
  return row instanceof RowBytes ? row.id : rowId(row)
}
