import type { Clock } from '../../lib/clock.ts'
import { isRowId } from '../../lib/uuid.ts'
import { TideError } from '../../protocol/error.ts'
import { rowId, type Patch, type Row } from '../../protocol/rows/row.ts'
import type { Query } from '../../protocol/rows/filter.ts'
import { checkQuery } from '../../protocol/rows/filter-check.ts'
import { compileFilter, compileOrder } from '../../protocol/rows/matcher.ts'
import type { InsertOf, PatchOf } from '../../protocol/rows/row-type.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { LiveQuery, type ResultChange } from '../query/live-query.ts'
import type { SearchHits, SearchRequest } from '../search/search.ts'
import type { QueryOf } from '../query/typed-query.ts'
import type { ReplicaChange } from '../replica/replica-change.ts'
import { liveRows, type LiveRows } from './live-rows.ts'
import { streamMessage, type GrowingMessage } from './message-stream.ts'
import { nestedColumns, trackRow, type SyncState, type Tracked, type TrackedRow } from './tracked-row.ts'
import type { Write } from './write.ts'

/** Amounts to add to counter columns. */
export type Amounts<T extends TableDescriptor> = {
  readonly [K in keyof T['columns'] as T['columns'][K] extends { readonly class: 'counter' } ? K : never]?: number
}

/** Reads and writes of one table: at once on the local replica, online or not. */
export interface Table<T extends TableDescriptor> {
  /**
   * The new row, once it is durable on this device. Give an `id` (UUIDv7) or leave it to the SDK. Throws `TideError`:
   * `invalid_value`, `unknown_column`, `unique_violated`, `row_deleted`, `outbox_full`, `message_too_large`.
   */
  insert(values: InsertOf<T> & { readonly id?: string }): Promise<Tracked<T> & { readonly $write: Write }>
  /**
   * Changes columns of a row. Resolves when that is durable on this device; `wait` of the answer tells of the server.
   * Throws as `insert`, and `not_found` for a row that is not here.
   */
  update(id: string, set: PatchOf<T>): Promise<Write>
  /** Adds to counters: increments of many devices sum up and never conflict. */
  increment(id: string, amounts: Amounts<T>): Promise<Write>
  /** Marks the row as deleted, at once here; its children when the server has it. Throws `not_found`, `row_deleted`. */
  delete(id: string): Promise<Write>
  /** Brings a deleted row back, with what was deleted with it, while it is not purged. Throws `not_found`. */
  restore(id: string): Promise<Write>
  /** The row; undefined when it is not on this replica, or deleted. Throws `invalid_value` for what is no id. */
  get(id: string): Promise<Tracked<T> | undefined>
  /** The rows of this replica that match, in the order asked for. Throws `bad_filter`, `unknown_column`. */
  find(query?: QueryOf<T>): Promise<readonly Tracked<T>[]>
  /** Calls back with the rows now and after every change of the result. Returns the function that stops it. */
  live(query: QueryOf<T>, notify: (rows: readonly Tracked<T>[], change: ResultChange<Tracked<T>>) => void): () => void
  /** The same as an async iterable. */
  live(query?: QueryOf<T>): LiveRows<Tracked<T>>
}

/** A write as asked for, before it has an id. Table by SQL name. */
export interface WriteRequest {
  readonly table: string
  readonly rowId: string | null
  readonly op: 'insert' | 'patch' | 'increment' | 'delete' | 'restore' | 'resolve'
  readonly set?: Patch
  readonly inc?: Readonly<Record<string, number>>
  /** The row is one that this device is still writing. */
  readonly isOpen?: boolean
}

/** What a table needs of the client. */
export interface TableSource {
  readonly clock: Clock
  /** The row of an insert comes with it; null for other writes. */
  write(request: WriteRequest): Promise<{ readonly write: Write; readonly row: Row | null }>
  row(table: string, id: string): Promise<Row | undefined>
  query(table: string, query: Query, use: (rows: readonly Row[]) => void): Promise<void>
  syncOf(table: string, id: string): SyncState
  onChange(listener: (change: ReplicaChange) => void): () => void
  search(request: SearchRequest): Promise<SearchHits<Row>>
  /** Calls back when the client is closed. */
  onClose(listener: () => void): () => void
  /** A live query failed and nobody asked for its error. */
  reportError(error: unknown): void
}

/** The one implementation behind every `tide.<table>`; its types are put on by `client.ts`. */
export class TableHandle {
  readonly #table: TableDescriptor
  readonly #nested: readonly string[]
  readonly #source: TableSource

  constructor(table: TableDescriptor, source: TableSource) {
    this.#table = table
    this.#nested = nestedColumns(table)
    this.#source = source
  }

  async insert(values: Patch): Promise<TrackedRow & { readonly $write: Write }> {
    const { id, ...set } = values
    if (id !== undefined && typeof id !== 'string')
      throw new TideError('invalid_value', `${this.#table.name}.id is ${String(id)}, not a UUID.`, {
        remedy: 'Leave the id out, or give a UUIDv7.',
      })
    const made = await this.#source.write({ table: this.#table.name, rowId: id ?? null, op: 'insert', set })
    if (made.row === null) throw new TideError('internal', `The insert into ${this.#table.name} made no row.`)
    return Object.freeze(Object.assign({ ...this.#track(made.row, undefined) }, { $write: made.write }))
  }

  async update(id: string, set: Patch): Promise<Write> {
    return this.#write(id, { op: 'patch', set })
  }

  async increment(id: string, amounts: Readonly<Record<string, number>>): Promise<Write> {
    return this.#write(id, { op: 'increment', inc: amounts })
  }

  async delete(id: string): Promise<Write> {
    return this.#write(id, { op: 'delete' })
  }

  async restore(id: string): Promise<Write> {
    return this.#write(id, { op: 'restore' })
  }

  async get(id: string): Promise<TrackedRow | undefined> {
    if (!isRowId(id))
      throw new TideError('invalid_value', `${JSON.stringify(id)} is no id of ${this.#table.name}.`, {
        remedy: 'Give a UUID in lower case, as rows have it.',
      })
    const row = await this.#source.row(this.#table.name, id)
    return row === undefined || isDeleted(row) ? undefined : this.#track(row, undefined)
  }

  async find(query: Query = {}): Promise<readonly TrackedRow[]> {
    const checked = checkQuery(this.#table, query)
    let found: readonly TrackedRow[] = []
    await this.#source.query(this.#table.name, checked, (rows) => {
      found = rows.map((row) => this.#track(row, undefined))
    })
    return found
  }

  live(query: Query, notify: (rows: readonly TrackedRow[], change: ResultChange<TrackedRow>) => void): () => void
  live(query?: Query): LiveRows<TrackedRow>
  live(
    query: Query = {},
    notify?: (rows: readonly TrackedRow[], change: ResultChange<TrackedRow>) => void,
  ): (() => void) | LiveRows<TrackedRow> {
    const checked = checkQuery(this.#table, query)
    if (notify !== undefined) return this.#start(checked, notify, (error) => this.#source.reportError(error))
    return liveRows(
      (told, failed) => this.#start(checked, told, failed),
      (listener) => this.#source.onClose(listener),
    )
  }

  async search(request: SearchRequest): Promise<SearchHits<TrackedRow>> {
    const found = await this.#source.search(request)
    const tracked = found.map((hit) => ({ ...hit, row: this.#track(hit.row, undefined) }))
    return Object.assign(tracked, { mode: found.mode, complete: found.complete })
  }

  stream(id: string): Promise<GrowingMessage> {
    const source = this.#source
    return streamMessage(
      {
        clock: source.clock,
        row: (wanted) => source.row(this.#table.name, wanted),
        patch: (wanted, set) => this.#write(wanted, { op: 'patch', set, isOpen: true }),
        onClose: (listener) => source.onClose(listener),
        reportError: (error) => source.reportError(error),
      },
      id,
    )
  }

  #start(
    query: Query,
    notify: (rows: readonly TrackedRow[], change: ResultChange<TrackedRow>) => void,
    failed: (error: unknown) => void,
  ): () => void {
    const matches = compileFilter(this.#table, query.where ?? {})
    const live = new LiveQuery<TrackedRow>({
      table: this.#table.name,
      rules: {
        matches: query.withDeleted === true ? matches : (row) => !isDeleted(row) && matches(row),
        compare: compileOrder(this.#table, query.orderBy ?? []),
        ...(query.limit === undefined ? {} : { limit: query.limit }),
        ...(query.offset === undefined ? {} : { offset: query.offset }),
      },
      source: {
        read: (use) => this.#source.query(this.#table.name, query, use),
        onChange: (listener) => this.#source.onChange(listener),
      },
      present: (row, before) => this.#track(row, before),
      notify,
      failed,
    })
    live.start()
    const forget = this.#source.onClose(() => live.stop())
    return () => {
      forget()
      live.stop()
    }
  }

  async #write(id: string, request: Omit<WriteRequest, 'table' | 'rowId'>): Promise<Write> {
    const { write } = await this.#source.write({ ...request, table: this.#table.name, rowId: id })
    return write
  }

  #track(row: Row, before: TrackedRow | undefined): TrackedRow {
    return trackRow(row, this.#source.syncOf(this.#table.name, rowId(row)), before, this.#nested)
  }
}

function isDeleted(row: Row): boolean {
  return row['deletedAt'] !== null && row['deletedAt'] !== undefined
}
