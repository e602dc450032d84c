import { TideError } from '../../protocol/error.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { toProperty, type Schema, type TableDescriptor } from '../../protocol/rows/table.ts'
import type { ConnectionView } from '../connection/connection-view.ts'
import type { ReplicaView } from '../replica/replica-view.ts'
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
      owner: () => {
        const { organizationId, principal } = replica.meta
        return organizationId === null || principal === null ? null : { organizationId, principal }
      },
      isOnline: () => connection.status.connection === 'live',
      isCurrent: () => connection.status.connection === 'live' && connection.status.staleSince === null,
      heldSubscriptions: () =>
        replica.subscriptions.filter(({ state }) => state === 'held').map(({ subscription }) => subscription),
      nearest: (table, request) => replica.read((store) => store.nearest(table, request)),
      find: (table, where, limit) =>
        replica.read((store) => store.query(table, { where, limit, orderBy: [{ id: 'asc' }] })),
      ask: (request) => connection.search(request),
    }
  }

  search(table: TableDescriptor, request: SearchRequest): Promise<SearchHits<Row>> {
    return search(table, request, this.#source)
  }

  /** Throws `TideError` `unknown_table`. */
  tableByName(name: string): TableDescriptor {
    const table = this.#schema[toProperty(name)]
    if (table === undefined) throw new TideError('unknown_table', `There is no synced table ${JSON.stringify(name)}.`)
    return table
  }
}
