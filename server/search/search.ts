import type pg from 'pg'
import { TideError } from '../../protocol/error.ts'
import { frameOf } from '../../protocol/block-frame.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import { packRows } from '../../protocol/rows/block-codec.ts'
import { checkFilter } from '../../protocol/rows/filter-check.ts'
import { filterToSql } from '../../protocol/rows/filter-sql.ts'
import { namesColumn, searchCandidates } from '../../protocol/rows/search-rank.ts'
import type { Catalog, SyncedTable } from '../catalog/catalog.ts'
import { inOneTransaction } from '../db/db.ts'
import { rawRows, selectList, toRow } from '../db/row-codec.ts'
import type { Access } from '../scope/access.ts'
import { createHomes } from '../scope/homes.ts'
import type { Principal } from '../scope/principal.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import { isStopped, toStopped } from '../scope/transaction.ts'
import { nearestIds } from './nearest.ts'
import { foundSql, hasFullText, partNames, rankSql, type Ask } from './search-sql.ts'

export interface Search {
  /**
   * The `found` frame with the nearest rows of a table that the principal may read, best first. By vector when one is
   * given, else by words. Errors: `unknown_table`, `bad_filter`, `invalid_value`.
   */
  search(principal: Principal, access: Access, request: UpOf<'search'>): Promise<Uint8Array>
}

export interface SearchOptions {
  readonly pool: pg.Pool
  readonly catalog: Catalog
  /** A statement that takes longer is stopped. */
  readonly statementTimeoutMs?: number | undefined
  /** See `Nearest`. */
  readonly exactRows?: number
}

/** Searches in Postgres: cosine distance over the vector column (HNSW where there is one), full text over the words. */
export function createSearch({ pool, catalog, statementTimeoutMs, exactRows }: SearchOptions): Search {
  const homes = createHomes(catalog)
  return {
    async search(principal, access, request) {
      const table = catalog.synced.get(request.table)
      if (!table || table.direction === 'up')
        throw new TideError('unknown_table', `Table ${request.table} cannot be searched: it is not synced.`)
      const params: unknown[] = []
      const where = request.where === undefined ? {} : checkFilter(table.descriptor, request.where)
      const { limit } = request
      const ask = askOf(table, request)
      const filter = filterToSql(table.descriptor, where, params, { alias: 't' })
      const namesStatus = namesColumn(where, 'status')
      const condition = foundSql({ homes, table, params, principal, access, filter, namesStatus })
      const rows = await inReading({ pool, statementTimeoutMs }, async (client) => {
        const nearest =
          ask.kind === 'text'
            ? []
            : await nearestIds(queryOn(client), {
                table: `"${table.name}"`,
                column: `"${ask.column}"`,
                condition,
                values: [...params],
                vector: ask.vector,
                // The graph answers roughly in order: what it leaves out among the first few it has among some more.
                limit: searchCandidates(limit),
                exactRows,
              })
        const columns = selectList(table, { embeddings: false }, 't')
        const ranked = async (literally: boolean): Promise<readonly string[][]> => {
          const values = [...params]
          const text = rankSql({ table, ask, params: values, columns, limit }, condition, nearest, { literally })
          return (await client.query<string[]>({ text, values, ...rawRows })).rows
        }
        const found = await ranked(false)
        const isAll = found.length === limit || ask.kind === 'vector' || !hasFullText(table)
        return isAll ? found : ranked(true)
      })
      const found = rows.map(([score, ...raw]) => ({
        score: Number(score),
        parts: Object.fromEntries(partNames.flatMap((name, index) => (raw[index] ? [[name, Number(raw[index])]] : []))),
        row: toRow(table, raw.slice(partNames.length)),
      }))
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
      kind: 'vector',
      column: column.name,
      vector: readVector(embedding, column.dimension ?? 0),
      ...(text === undefined ? {} : { text }),
    }
  }
  if (text === undefined)
    throw new TideError('invalid_value', `A search of ${table.name} has neither text nor embedding.`, {
      remedy: 'Give one of them.',
    })
  return { kind: 'text', text }
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

/** In a transaction, so that what the index is searched with, and how long that may take, end with it. */
async function inReading<T>(
  { pool, statementTimeoutMs }: Pick<SearchOptions, 'pool' | 'statementTimeoutMs'>,
  read: (client: pg.ClientBase) => Promise<T>,
): Promise<T> {
  const timeout =
    statementTimeoutMs === undefined ? '' : `; set local statement_timeout = ${Math.round(statementTimeoutMs)}`
  try {
    return await inOneTransaction(pool, read, { begin: `begin read only${timeout}` })
  } catch (error) {
    throw isStopped(error) ? toStopped(error, statementTimeoutMs) : error
  }
}

function queryOn(client: pg.ClientBase): SqlQuery {
  return async <R extends object>({ values = [], ...statement }: Parameters<SqlQuery>[0]) =>
    (await client.query<R>({ ...statement, values: [...values] })).rows
}
