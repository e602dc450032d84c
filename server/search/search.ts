import type pg from 'pg'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { systemRandom, type Random } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import { frameOf } from '../../protocol/block-frame.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import { packRows } from '../../protocol/rows/block-codec.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { checkFilter } from '../../protocol/rows/filter-check.ts'
import { filterToSql } from '../../protocol/rows/filter-sql.ts'
import { hasWorth, namesColumn, searchCandidates, searchParts, searchWeights } from '../../protocol/rows/search-rank.ts'
import type { Catalog, SyncedTable } from '../catalog/catalog.ts'
import { rawRows, selectList, toRow } from '../db/row-codec.ts'
import { checkActive, loadAccess, type Access } from '../scope/access.ts'
import { createHomes } from '../scope/homes.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import { tokenCondition } from '../scope/token-condition.ts'
import { inTransaction } from '../scope/transaction.ts'
import { allOf, liveSql, wordsOf, wordsOrPhrase, type Bind, type Findable, type Near } from './candidates.ts'
import { FewRows } from './few-rows.ts'
import { askNearest, type Asked } from './nearest.ts'
import { rankColumns, rankSql, recencySql } from './rank.ts'

export interface Search {
  /**
   * The `found` frame with the nearest rows of a table that the principal may read, best first. By vector when one is
   * given, else by words. Rows, rights and token are of one snapshot. Errors: `unknown_table`, `bad_filter`,
   * `invalid_value`, `device_revoked`, `token_invalid`.
   */
  search(principal: DevicePrincipal, request: UpOf<'search'>): Promise<Uint8Array>
}

export interface SearchOptions {
  readonly pool: pg.Pool
  readonly catalog: Catalog
  /** A statement that takes longer is stopped. */
  readonly statementTimeoutMs?: number | undefined
  readonly clock?: Clock
  readonly random?: Random
  /** See `NearestOptions`. */
  readonly exactRows?: number
}

/** What to rank by. */
interface Ask {
  readonly text?: string
  readonly near?: { readonly column: string; readonly vector: readonly number[] }
}

/** Searches in Postgres: cosine distance over the vector column (HNSW where there is one), full text over the words. */
export function createSearch(options: SearchOptions): Search {
  const { pool, catalog, statementTimeoutMs, exactRows, clock = systemClock, random = systemRandom } = options
  const homes = createHomes(catalog)
  const few = new FewRows(clock)
  // One snapshot; and what the index is searched with ends with it.
  const reading = { pool, clock, random, statementTimeoutMs, readOnly: true, isolation: 'repeatable read' } as const
  return {
    async search(principal, request) {
      const table = catalog.synced.get(request.table)
      if (!table || table.direction === 'up')
        throw new TideError('unknown_table', `Table ${request.table} cannot be searched: it is not synced.`)
      const where = request.where === undefined ? {} : checkFilter(table.descriptor, request.where)
      const { limit } = request
      const ask = askOf(table, request)
      const findableBy = ({ channels }: Access): Findable => {
        const values: unknown[] = []
        const filter = filterToSql(table.descriptor, where, values, { alias: 't' })
        const carried = homes.carriedByAny(table, 't', {
          channels: channels.keys(),
          organizationId: principal.organizationId,
          bind: (value) => `$${values.push(value)}`,
        })
        const anyStatus = namesColumn(where, 'status')
        return {
          table: `"${table.name}"`,
          condition: allOf([carried, filter, ...liveSql(table, { anyStatus })]),
          values,
        }
      }
      const condition = tokenCondition(principal, clock.now())
      const found = await inTransaction({ ...reading, condition }, {}, async ({ client }) => {
        const access = await loadAccess(queryOn(client), principal)
        checkActive(access, principal)
        const findable = findableBy(access)
        const rank = rankerOf(client, table, ask, limit, findable)
        if (ask.near) {
          // The graph answers roughly in order: what it leaves out among the first few it has among some more.
          const nearest = { ...findable, ...ask.near, limit: searchCandidates(limit) }
          return askNearest(queryOn(client), nearest, (near) => rank({ near }), { exactRows, few })
        }
        const { answer } = await rank({})
        const isAll = answer.length === limit || wordsOf(table) === undefined
        return isAll ? answer : (await rank({ literally: true })).answer
      })
      const hits = found.map(({ row, score, parts }) => ({ id: String(row['id']), score, parts }))
      const block = packRows(
        table.descriptor,
        found.map(({ row }) => row),
        { embeddings: false },
      )
      return frameOf({ type: 'found', ref: request.ref, hits }, [block])
    },
  }
}

interface Hit {
  readonly row: Row
  readonly score: number
  readonly parts: Readonly<Record<string, number>>
}

/**
 * Asks for the best rows. Words are looked for `literally` too, as parts of words, where there is no vector and the
 * words find too few.
 */
function rankerOf(
  client: pg.ClientBase,
  table: SyncedTable,
  { text }: Ask,
  limit: number,
  findable: Findable,
): (from: { readonly near?: Near; readonly literally?: boolean }) => Promise<Asked<readonly Hit[]>> {
  return async ({ near, literally = false }) => {
    const values = [...(near ?? findable).values]
    const bind: Bind = (value) => `$${values.push(value)}`
    const words = text === undefined ? undefined : wordsOrPhrase(table, text, bind, literally)
    const isWeighed = near !== undefined && words !== undefined
    const ranking = rankSql(
      {
        table: findable.table,
        near,
        words: words && { ...words, findable: findable.condition },
        // Of words alone the best are the candidates.
        candidates: near ? searchCandidates(limit) : limit,
        limit,
        columns: selectList(table, { embeddings: false }, 't'),
        ...(isWeighed && { weights: searchWeights }),
        ...(isWeighed &&
          hasWorth(table.descriptor.columns) && { worth: { importance: 't.importance', recency: recencySql(true) } }),
      },
      bind,
    )
    const { rows } = await client.query<string[]>({ text: ranking, values, ...rawRows })
    return { answer: rows.map((raw) => hitOf(table, raw)), near: Number(rows[0]?.[rankColumns.indexOf('$near')] ?? 0) }
  }
}

function hitOf(table: SyncedTable, raw: readonly string[]): Hit {
  const [score, ...parts] = raw.slice(0, rankColumns.length)
  return {
    score: Number(score),
    parts: Object.fromEntries(
      searchParts.flatMap((name, index) => (parts[index] ? [[name, Number(parts[index])]] : [])),
    ),
    row: toRow(table, raw.slice(rankColumns.length)),
  }
}

function askOf(table: SyncedTable, { embedding, text: sent }: UpOf<'search'>): Ask {
  const text = sent?.trim() === '' ? undefined : sent
  if (embedding !== undefined) {
    const vector = Object.entries(table.descriptor.columns).find(([, column]) => column.type === 'vector')
    if (!vector)
      throw new TideError('invalid_value', `Table ${table.name} has no column for embeddings.`, {
        remedy: 'Search it by `text`.',
      })
    const [, column] = vector
    return {
      near: { column: `"${column.name}"`, vector: readVector(embedding, column.dimension ?? 0) },
      ...(text === undefined ? {} : { text }),
    }
  }
  if (text === undefined)
    throw new TideError('invalid_value', `A search of ${table.name} has neither text nor embedding.`, {
      remedy: 'Give one of them.',
    })
  return { text }
}

function readVector(base64: string, dimension: number): readonly number[] {
  const bytes = Buffer.from(base64, 'base64')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const vector = Array.from({ length: Math.floor(bytes.byteLength / 4) }, (_, index) =>
    view.getFloat32(4 * index, true),
  )
  if (vector.length !== dimension || bytes.byteLength % 4 !== 0) {
    throw new TideError(
      'invalid_value',
      `The embedding has ${vector.length} dimensions; the column has ${dimension}.`,
      { remedy: 'Embed with the model that the rows were embedded with.' },
    )
  }
  if (!vector.every(Number.isFinite))
    throw new TideError('invalid_value', 'The embedding holds a value that is no finite number.')
  if (vector.every((number) => number === 0))
    throw new TideError('invalid_value', 'The embedding is all zeros and has no direction.')
  return vector
}

function queryOn(client: pg.ClientBase): SqlQuery {
  return async <R extends object>({ values = [], ...statement }: Parameters<SqlQuery>[0]) =>
    (await client.query<R>({ ...statement, values: [...values] })).rows
}
