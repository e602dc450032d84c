import { TideError } from '../../protocol/error.ts'
import { checkFilter } from '../../protocol/rows/filter-check.ts'
import type { Filter } from '../../protocol/rows/filter.ts'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'
import { vectorToBase64 } from '../../protocol/rows/base64.ts'
import { canonicalValue } from '../../protocol/rows/value.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'

export interface SearchRequest<Where = Filter> {
  /** Found by meaning only when the server has an embedding provider; otherwise by its words. */
  readonly text?: string
  /** As many numbers as the column has dimensions. */
  readonly embedding?: Float32Array | readonly number[]
  readonly where?: Where
  /** 1 to 200; default 10. */
  readonly limit?: number
  /**
   * `auto`: here when offline, or when `where` names one channel of which this replica holds all embeddings; else on the
   * server.
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
 * Hits, best first. `complete`: this search had in reach all that it can have. On the server that is all the principal may
 * read; here it is a followed channel with all its embeddings, and channels that are not followed are not looked at.
 */
export type SearchHits<R> = readonly SearchHit<R>[] & { readonly mode: 'local' | 'server'; readonly complete: boolean }

/** What search needs of the client. */
export interface SearchSource {
  /** Milliseconds since 1970. */
  now(): number
  isOnline(): boolean
  heldSubscriptions(): readonly Subscription[]
  nearest(
    table: string,
    request: { column: string; vector: Float32Array; where?: Filter; limit: number },
  ): Promise<readonly { readonly row: Row; readonly score: number }[]>
  find(table: string, where: Filter, limit: number): Promise<readonly Row[]>
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

const defaultLimit = 10

/** Searches one table, here or on the server. Throws `TideError` `invalid_value` for a vector of another dimension. */
export async function search(
  table: TableDescriptor,
  request: SearchRequest,
  source: SearchSource,
): Promise<SearchHits<Row>> {
  const [property, column] = vectorColumn(table)
  const embedding = request.embedding === undefined ? undefined : checkedVector(table, column, request.embedding)
  if (embedding === undefined && request.text === undefined) {
    throw new TideError('invalid_value', `A search of ${table.name} needs \`text\` or \`embedding\`.`, {
      remedy: 'Give one of them.',
    })
  }
  const where = request.where === undefined ? undefined : checkFilter(table, request.where)
  const alive: Filter = { and: [where ?? {}, ...liveness(table, where, source.now())] }
  const limit = request.limit ?? defaultLimit
  const isHeld = holdsScope(table, where, source.heldSubscriptions())
  const mode = chosenMode(request.mode ?? 'auto', isHeld && embedding !== undefined, source.isOnline())
  if (mode === 'server') return onServer()
  return embedding === undefined ? byWords(request.text ?? '') : byVector(embedding)

  async function byVector(vector: Float32Array): Promise<SearchHits<Row>> {
    const found = await source.nearest(table.name, {
      column: property,
      vector,
      limit,
      where: alive,
    })
    return hits(
      found.map(({ row, score }) => ({ row, score, parts: { vector: score } })),
      'local',
      isHeld,
    )
  }

  async function byWords(text: string): Promise<SearchHits<Row>> {
    const words = text.split(/\s+/).filter((word) => word.length > 0)
    const inText = Object.entries(table.columns).filter(
      ([name, { type }]) => type === 'text' && ['title', 'content', 'name'].includes(name),
    )
    const any = words.flatMap((word) =>
      inText.map(([name]): Filter => ({ [name]: { ilike: `%${escapeLike(word)}%` } })),
    )
    const rows = await source.find(table.name, { and: [alive, { or: any }] }, 1000)
    const scored = rows.map((row) => {
      const text = inText
        .map(([name]) => String(row[name] ?? ''))
        .join(' ')
        .toLowerCase()
      const score = words.filter((word) => text.includes(word.toLowerCase())).length / words.length
      return { row, score, parts: { text: score } }
    })
    return hits(scored.toSorted((a, b) => b.score - a.score).slice(0, limit), 'local', isHeld)
  }

  async function onServer(): Promise<SearchHits<Row>> {
    const found = await source.ask({
      table: table.name,
      limit,
      ...(embedding === undefined ? {} : { embedding: vectorToBase64(embedding) }),
      ...(request.text === undefined ? {} : { text: request.text }),
      ...(where === undefined ? {} : { where }),
    })
    const rows = new Map(found.rows.map((row) => [rowId(row), row]))
    return hits(
      found.hits.flatMap(({ id, score, parts }) => {
        const row = rows.get(id)
        return row === undefined ? [] : [{ row, score, parts }]
      }),
      'server',
      true,
    )
  }
}

/** What has expired or been superseded is not found, unless the caller asks for such a state; as on the server. */
function liveness({ columns }: TableDescriptor, where: Filter | undefined, now: number): readonly Filter[] {
  const expiry = { or: [{ expiresAt: { isNull: true } }, { expiresAt: { gt: new Date(now).toISOString() } }] }
  const namesStatus = JSON.stringify(where ?? {}).includes('"status"')
  return [
    ...(columns['expiresAt'] === undefined ? [] : [expiry]),
    ...(columns['status']?.values?.includes('superseded') === true && !namesStatus ? [{ status: 'active' }] : []),
    ...(columns['isCurrent'] === undefined ? [] : [{ isCurrent: true }]),
  ]
}

function hits(found: readonly SearchHit<Row>[], mode: 'local' | 'server', complete: boolean): SearchHits<Row> {
  return Object.assign([...found], { mode, complete })
}

function chosenMode(asked: 'auto' | 'local' | 'server', isBetterHere: boolean, isOnline: boolean): 'local' | 'server' {
  if (asked !== 'auto') return asked
  return isBetterHere || !isOnline ? 'local' : 'server'
}

/**
 * The search asks for one channel only, and an unfiltered, held subscription has all of its embeddings here: then the
 * server could not find more. A search that names no channel may always find more on the server.
 */
function holdsScope(table: TableDescriptor, where: Filter | undefined, held: readonly Subscription[]): boolean {
  const asked = where === undefined ? undefined : channelAskedFor(where)
  return held.some(
    ({ channel, embeddings, tables, where: filters }) =>
      channel === asked &&
      embeddings &&
      (tables === undefined || tables.includes(table.name)) &&
      filters?.[table.name] === undefined,
  )
}

/** `{ channel }`, or `{ scope, <scope>Id }` of tables whose rows name their own scope. */
function channelAskedFor(where: Filter): string | undefined {
  const channel = equalTo(where['channel'])
  if (channel !== undefined) return channel
  const scope = equalTo(where['scope'])
  const id = scope === undefined ? undefined : equalTo(where[`${scope}Id`])
  return id === undefined ? undefined : `${scope}/${id}`
}

function equalTo(comparison: Filter[string]): string | undefined {
  if (typeof comparison === 'string') return comparison
  if (typeof comparison !== 'object' || comparison === null || !('eq' in comparison)) return undefined
  return typeof comparison.eq === 'string' ? comparison.eq : undefined
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
  if (vector instanceof Float32Array) return vector
  throw new TideError('invalid_value', `The embedding for ${table.name}.${column.name} is not a vector.`)
}

function escapeLike(word: string): string {
  return word.replace(/[\\%_]/g, (special) => `\\${special}`)
}
