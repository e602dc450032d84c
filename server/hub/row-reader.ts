import type { Row } from '../../protocol/rows/row.ts'
import type { Catalog, CatalogTable } from '../catalog/catalog.ts'
import { idOf, RowKeeper, type ReadRow } from '../db/row-bytes.ts'
import { binarySelectList, RowDecoder, type TakeRow } from '../db/row-packer.ts'
import type { RowSource } from './change-reader.ts'
import type { Snapshot } from './snapshot.ts'

const chunk = 5000
/** The first chunk of a step, of whose rows it is not known how large they are. */
const firstChunk = 200
/** From so many rows on they stay as they came. To pack fewer in that way costs more than making objects of them. */
const keptFrom = 100

export interface RowReaderOptions {
  readonly catalog: Catalog
  readonly each: Snapshot['each']
  readonly embeddings: boolean
  /** Of all rows together, as they come from the database. */
  readonly maxBytes: number
}

/**
 * Reads the newest rows of keys, from one snapshot. What is beyond `maxBytes` is not kept, and little of it is read.
 */
export class RowReader implements RowSource {
  readonly #catalog: Catalog
  readonly #each: Snapshot['each']
  readonly #embeddings: boolean
  readonly #maxBytes: number
  #bytes = 0

  constructor({ catalog, each, embeddings, maxBytes }: RowReaderOptions) {
    this.#catalog = catalog
    this.#each = each
    this.#embeddings = embeddings
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  async byId(table: string, ids: readonly string[]): Promise<ReadonlyMap<string, ReadRow> | undefined> {
    const rows = new Map<string, ReadRow>()
    const found = this.#catalog.synced.get(table)
    const before = this.#bytes
    for (let start = 0, end = firstChunk; found && start < ids.length;) {
      const values = [ids.slice(start, end)]
      const some = await this.#read(found, 't.id = any($1::uuid[])', 'id', values, ids.length >= keptFrom)
      if (!some) return undefined
      for (const row of some) rows.set(idOf(row), row)
      start = end
      end += this.#fitting((this.#bytes - before) / start)
    }
    return rows
  }

  /**
   * As many rows as there is room for if they are as large as those before: they are not all read where few are too
   * many.
   */
  #fitting(bytesEach: number): number {
    return Math.min(chunk, Math.max(firstChunk, Math.ceil((this.#maxBytes - this.#bytes) / Math.max(1, bytesEach))))
  }

  async inChannels(
    table: CatalogTable,
    channels: readonly string[],
    limit: number,
  ): Promise<readonly ReadRow[] | undefined> {
    const before = this.#bytes
    const read = (most: number) =>
      this.#read(table, 't.channel = any($1::text[]) limit $2', 'channel', [channels, most + 1], true)
    const some = await read(Math.min(limit, firstChunk))
    if (!some || some.length <= Math.min(limit, firstChunk)) return some
    const bytesEach = (this.#bytes - before) / some.length
    this.#bytes = before
    // Those that were read first may be the largest.
    const most = Math.min(limit, Math.ceil((4 * (this.#maxBytes - before)) / Math.max(1, bytesEach)))
    const rows = await read(most)
    return rows === undefined || rows.length > most ? undefined : rows
  }

  async #read(
    table: CatalogTable,
    condition: string,
    by: string,
    values: readonly unknown[],
    keep: boolean,
  ): Promise<readonly ReadRow[] | undefined> {
    const options = { embeddings: this.#embeddings }
    const columns = binarySelectList(table, options, 't')
    const name = `rows_${by}_${table.name}${this.#embeddings ? '_e' : ''}`
    const text = `select ${columns} from "${table.name}" t where ${condition}`
    const { rows, add } = keep ? new RowKeeper(table, options) : new RowObjects(new RowDecoder(table, options))
    await this.#each({ name, text, values }, (bytes, offset, end) => {
      this.#bytes += end - offset
      if (this.#bytes <= this.#maxBytes) add(bytes, offset, end)
    })
    return this.#bytes > this.#maxBytes ? undefined : rows
  }
}

/** Makes objects of rows as they come. */
class RowObjects {
  readonly rows: Row[] = []
  readonly #decoder: RowDecoder

  constructor(decoder: RowDecoder) {
    this.#decoder = decoder
  }

  readonly add: TakeRow = (bytes, offset) => {
    this.rows.push(this.#decoder.decode(bytes, offset))
  }
}
