import type { Row } from '../../protocol/rows/row.ts'
import type { Catalog, CatalogTable } from '../catalog/catalog.ts'
import { binarySelectList, RowDecoder } from '../db/row-packer.ts'
import type { RowSource } from './change-reader.ts'
import type { Snapshot } from './snapshot.ts'

const chunk = 5000

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

  async byId(table: string, ids: readonly string[]): Promise<ReadonlyMap<string, Row>> {
    const rows = new Map<string, Row>()
    const found = this.#catalog.synced.get(table)
    for (let start = 0; found && start < ids.length; start += chunk) {
      const some = await this.#read(found, 't.id = any($1::uuid[])', 'id', [ids.slice(start, start + chunk)])
      for (const row of some) rows.set(String(row['id']), row)
    }
    return rows
  }

  async inChannels(
    table: CatalogTable,
    channels: readonly string[],
    limit: number,
  ): Promise<readonly Row[] | undefined> {
    const rows = await this.#read(table, 't.channel = any($1::text[]) limit $2', 'channel', [channels, limit + 1])
    return rows.length > limit ? undefined : rows
  }

  async #read(table: CatalogTable, condition: string, by: string, values: readonly unknown[]): Promise<readonly Row[]> {
    const options = { embeddings: this.#embeddings }
    const columns = binarySelectList(table, options, 't')
    const name = `rows_${by}_${table.name}${this.#embeddings ? '_e' : ''}`
    const decoder = new RowDecoder(table, options)
    const text = `select ${columns} from "${table.name}" t where ${condition}`
    await this.#each({ name, text, values }, decoder.add)
    return decoder.rows
  }
}
