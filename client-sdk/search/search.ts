import { TideError } from '../../protocol/error.ts'
import { checkFilter } from '../../protocol/rows/filter-check.ts'
import type { Filter } from '../../protocol/rows/filter.ts'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'
import { vectorToBase64 } from '../../protocol/rows/base64.ts'
import { livenessOf, namesColumn } from '../../protocol/rows/search-rank.ts'
import { canonicalValue } from '../../protocol/rows/value.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Owner } from '../replica/replica-view.ts'
import { holdsScope } from './held-scope.ts'
import { localSearch, type LocalRows } from './local-search.ts'

export interface SearchRequest<Where = Filter> {
  /** Found by its words. */
  readonly text?: string
  /** As many numbers as the column has dimensions. */
  readonly embedding?: Float32Array | readonly number[]
  /**
   * Compares only rows that were embedded by this model (`embeddingModel`): vectors of different models have nothing in
   * common.
   */
  readonly model?: string
  readonly where?: Where
  /** 1 to 200; default 10. */
  readonly limit?: number
  /**
   * `auto`: here when offline, or when it is by `embedding` alone and `where` names one channel of which this replica
   * holds all embeddings as of now; else on the server.
   */
  readonly mode?: 'auto' | 'local' | 'server'
}

export interface SearchHit<R> {
  readonly row: R
  /** Higher is nearer; for vectors the cosine similarity. */
  readonly score: number
  readonly parts: Readonly<Record<string, number>>
}

/**
 * Hits, best first. `complete`: the server could not have found more or other rows. Of a search here that is sure when
 * it is by `embedding` alone, in one channel that is followed with all its embeddings, while the replica is current.
 */
export type SearchHits<R> = readonly SearchHit<R>[] & { readonly mode: 'local' | 'server'; readonly complete: boolean }

/** What search needs of the client. */
export interface SearchSource extends LocalRows {
  /** Milliseconds since 1970. */
  now(): number
  isOnline(): boolean
  /** Everything the server has is here: live, and not stale. */
  isCurrent(): boolean
  owner(): Owner | null
  heldSubscriptions(): readonly Subscription[]
  /** Of these ids, those with writes of this device that are not synced: the row as it is here; null: deleted. */
  ownVersions(table: string, ids: readonly string[]): Promise<ReadonlyMap<string, Row | null>>
  ask(request: { table: string; embedding?: string; text?: string; where?: Filter; limit: number }): Promise<Found>
}

/** What the server found: rows in any order, hits best first. */
export interface Found {
  readonly rows: readonly Row[]
  readonly hits: readonly {
    readonly id: string
    readonly score: number
    readonly parts: Readonly<Record<string, number>>
  }[]
}

const limits = { default: 10, max: 200 } as const

/** Searches one table, here or on the server. Throws `TideError` `invalid_value`, `bad_filter`, `unknown_table`. */
export async function search(
  table: TableDescriptor,
  request: SearchRequest,
  source: SearchSource,
): Promise<SearchHits<Row>> {
  const { limit = limits.default } = request
  if (!Number.isInteger(limit) || limit < 1 || limit > limits.max)
    throw new TideError('invalid_value', `A search cannot have the limit ${limit}.`, {
      remedy: `Give a whole number from 1 to ${limits.max}.`,
    })
  const [property, column] = vectorColumn(table)
  const vector = request.embedding === undefined ? undefined : checkedVector(table, column, request.embedding)
  const text = request.text?.trim() === '' ? undefined : request.text?.trim()
  if (vector === undefined && text === undefined) {
    throw new TideError('invalid_value', `A search of ${table.name} has neither text nor embedding.`, {
      remedy: 'Give one of them.',
    })
  }
  const where = checkFilter(table, withModel(request.where ?? {}, request.model))
  const isHeld =
    text === undefined &&
    source.isCurrent() &&
    holdsScope(table, request.where, source.heldSubscriptions(), source.owner())
  if (chosenMode(request.mode ?? 'auto', isHeld, source.isOnline()) === 'server') return onServer()
  const found = await localSearch(
    table,
    {
      column: property,
      where: { and: [where, ...liveness(table, where, source.now())] },
      limit,
      now: source.now(),
      ...(vector === undefined ? {} : { vector }),
      ...(text === undefined ? {} : { text }),
    },
    source,
  )
  return hits(found, 'local', isHeld)

  async function onServer(): Promise<SearchHits<Row>> {
    const answer = await source.ask({
      table: table.name,
      limit,
      where,
      ...(vector === undefined ? {} : { embedding: vectorToBase64(vector) }),
      ...(text === undefined ? {} : { text }),
    })
    const rows = new Map(answer.rows.map((row) => [rowId(row), row]))
    // What this device has written and the server has not shown back yet goes before what the server says.
    const own = await source.ownVersions(table.name, [...rows.keys()])
    return hits(
      answer.hits.flatMap(({ id, score, parts }) => {
        const row = own.has(id) ? own.get(id) : rows.get(id)
        return row == null ? [] : [{ row, score, parts }]
      }),
      'server',
      true,
    )
  }
}

function withModel(where: Filter, model: string | undefined): Filter {
  return model === undefined ? where : { and: [where, { embeddingModel: model }] }
}

/** What has expired or been superseded is not found, unless the caller asks for such a state; as on the server. */
function liveness({ columns }: TableDescriptor, where: Filter, now: number): readonly Filter[] {
  const { expires, isSuperseded, isVersioned } = livenessOf(columns)
  const expiry = { or: [{ expiresAt: { isNull: true } }, { expiresAt: { gt: new Date(now).toISOString() } }] }
  return [
    ...(expires ? [expiry] : []),
    ...(isSuperseded && !namesColumn(where, 'status') ? [{ status: 'active' }] : []),
    ...(isVersioned ? [{ isCurrent: true }] : []),
  ]
}

function hits(found: readonly SearchHit<Row>[], mode: 'local' | 'server', complete: boolean): SearchHits<Row> {
  return Object.assign([...found], { mode, complete })
}

function chosenMode(asked: 'auto' | 'local' | 'server', isBetterHere: boolean, isOnline: boolean): 'local' | 'server' {
  if (asked !== 'auto') return asked
  return isBetterHere || !isOnline ? 'local' : 'server'
}

function vectorColumn(table: TableDescriptor): readonly [string, ColumnDescriptor] {
  const found = Object.entries(table.columns).find(([, column]) => column.type === 'vector')
  if (found === undefined)
    throw new TideError('unknown_table', `${table.name} has no embedding to search by.`, {
      remedy: 'Use `find` with a filter.',
    })
  return found
}

function checkedVector(
  table: TableDescriptor,
  column: ColumnDescriptor,
  value: Float32Array | readonly number[],
): Float32Array {
  const vector = canonicalValue(column, value)
  if (!(vector instanceof Float32Array))
    throw new TideError('invalid_value', `The embedding for ${table.name}.${column.name} is not a vector.`)
  if (vector.some((number) => number !== 0)) return vector
  throw new TideError(
    'invalid_value',
    `The embedding for ${table.name}.${column.name} is all zeros and has no direction.`,
  )
}
