import { rowId, type Row } from '../../protocol/rows/row.ts'
import { tableByName, type Schema, type TableDescriptor } from '../../protocol/rows/table.ts'
import type { ConnectionView } from '../connection/connection-view.ts'
import { ownerOf, type ReplicaView } from '../replica/replica-view.ts'
import { search, type SearchHits, type SearchRequest, type SearchSource } from './search.ts'

export interface SearcherParts {
  readonly schema: Schema
  readonly replica: ReplicaView
  readonly connection: ConnectionView
}

/** Search with the replica and the connection behind it. */
export class Searcher {
  readonly #schema: Schema
  readonly #source: SearchSource

  constructor({ schema, replica, connection }: SearcherParts) {
    this.#schema = schema
    this.#source = {
      now: () => replica.now(),
      owner: () => ownerOf(replica),
      isOnline: () => connection.status.connection === 'live',
      isCurrent: () => connection.status.connection === 'live' && connection.status.staleSince === null,
      heldSubscriptions: () =>
        replica.subscriptions.filter(({ state }) => state === 'held').map(({ subscription }) => subscription),
      nearest: (table, request) => replica.read((store) => store.nearest(table, request)),
      find: (table, where, limit) =>
        replica.read((store) => store.query(table, { where, limit, orderBy: [{ id: 'asc' }] })),
      ownVersions: async (table, ids) => {
        const own = ids.filter((id) => replica.syncOf(table, id).pending > 0)
        const where = { id: { in: own } }
        const found = own.length === 0 ? [] : await replica.read((store) => store.query(table, { where }))
        return new Map([...own.map((id) => [id, null] as const), ...found.map((row) => [rowId(row), row] as const)])
      },
      ask: (request) => connection.search(request),
    }
  }

  search(table: TableDescriptor, request: SearchRequest): Promise<SearchHits<Row>> {
    return search(table, request, this.#source)
  }

  /** Throws `TideError` `unknown_table`. */
  tableByName(name: string): TableDescriptor {
    return tableByName(this.#schema, name)
  }
}
