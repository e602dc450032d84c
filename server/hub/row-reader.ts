import type { Row } from '../../protocol/rows/row.ts'
import type { Catalog, CatalogTable } from '../catalog/catalog.ts'
import { idOf, RowKeeper, type ReadRow } from '../db/row-bytes.ts'
import { binarySelectList, RowDecoder, type TakeRow } from '../db/row-packer.ts'
import type { RowSource } from './change-reader.ts'
import type { Snapshot } from './snapshot.ts'

const chunk = 5000
/** From so many rows on they stay as they came. To pack fewer in that way costs more than making objects of them. */
const keptFrom = 100

export interface RowReaderOptions {
  readonly catalog: Catalog
  readonly each: Snapshot['each']
  readonly embeddings: boolean
  /** Of all rows together, as they come from the database. */
  readonly maxBytes: number
}

/** Reads the newest rows of keys, from one snapshot. What is beyond `maxBytes` is not kept. */
export class RowReader implements RowSource {
  readonly #catalog: Catalog
  readonly #each: Snapshot['each']
  readonly #embeddings: boolean
  #room: number

  constructor({ catalog, each, embeddings, maxBytes }: RowReaderOptions) {
    this.#catalog = catalog
    this.#each = each
    this.#embeddings = embeddings
    this.#room = maxBytes
  }

  async byId(table: string, ids: readonly string[]): Promise<ReadonlyMap<string, ReadRow> | undefined> {
    const rows = new Map<string, ReadRow>()
    const found = this.#catalog.synced.get(table)
    for (let start = 0; found && start < ids.length; start += chunk) {
      const values = [ids.slice(start, start + chunk)]
      const some = await this.#read(found, 't.id = any($1::uuid[])', 'id', values, ids.length >= keptFrom)
      if (!some) return undefined
      for (const row of some) rows.set(idOf(row), row)
    }
    return rows
  }

  async inChannels(
    table: CatalogTable,
    channels: readonly string[],
    limit: number,
  ): Promise<readonly ReadRow[] | undefined> {
    const rows = await this.#read(table, 't.channel = any($1::text[]) limit $2', 'channel', [channels, limit + 1], true)
    return rows === undefined || rows.length > limit ? undefined : rows
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
      this.#room -= end - offset
      if (this.#room >= 0) add(bytes, offset, end)
    })
    return this.#room < 0 ? undefined : rows
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
