import type { Row } from '../../protocol/rows/row.ts'
import type { Catalog, CatalogTable } from '../catalog/catalog.ts'
import { idOf, RowKeeper, type ReadRow } from '../db/row-bytes.ts'
import { binarySelectList, RowDecoder } from '../db/row-packer.ts'
import type { RowSource } from './change-reader.ts'
import type { Snapshot } from './snapshot.ts'

const chunk = 5000
/** From so many rows on they stay as they came. To pack fewer in that way costs more than making objects of them. */
const keptFrom = 100

/** Reads the newest rows of keys, from one snapshot. */
export class RowReader implements RowSource {
  readonly #catalog: Catalog
  readonly #each: Snapshot['each']
  readonly #embeddings: boolean

  constructor(catalog: Catalog, each: Snapshot['each'], embeddings: boolean) {
    this.#catalog = catalog
    this.#each = each
    this.#embeddings = embeddings
  }

  async byId(table: string, ids: readonly string[]): Promise<ReadonlyMap<string, ReadRow>> {
    const rows = new Map<string, ReadRow>()
    const found = this.#catalog.synced.get(table)
    for (let start = 0; found && start < ids.length; start += chunk) {
      const values = [ids.slice(start, start + chunk)]
      const some = await this.#read(found, 't.id = any($1::uuid[])', 'id', values, ids.length >= keptFrom)
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
    return rows.length > limit ? undefined : rows
  }

  async #read(
    table: CatalogTable,
    condition: string,
    by: string,
    values: readonly unknown[],
    keep: boolean,
  ): Promise<readonly ReadRow[]> {
    const options = { embeddings: this.#embeddings }
    const columns = binarySelectList(table, options, 't')
    const name = `rows_${by}_${table.name}${this.#embeddings ? '_e' : ''}`
    const text = `select ${columns} from "${table.name}" t where ${condition}`
    if (keep) {
      const keeper = new RowKeeper(table, options)
      await this.#each({ name, text, values }, keeper.add)
      return keeper.rows
    }
    const decoder = new RowDecoder(table, options)
    const rows: Row[] = []
    await this.#each({ name, text, values }, (bytes, offset) => rows.push(decoder.decode(bytes, offset)))
    return rows
  }
}
