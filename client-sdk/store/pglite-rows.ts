import { filterToSql, orderToSql } from '../../protocol/rows/filter-sql.ts'
import type { Query } from '../../protocol/rows/filter.ts'
import type { Row, Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'
import { TideError } from '../../protocol/error.ts'
import { canonicalResult, type Codecs } from './pglite-codecs.ts'
import { identifier } from './pglite-ddl.ts'
import type { Executor } from './pglite-like.ts'
import type { NearestRequest } from './store.ts'

type Column = readonly [property: string, column: ColumnDescriptor]

/** Rows of one table out of PGlite in canonical form. Statements are built once per table. */
export class PgliteReader {
  readonly #table: TableDescriptor
  readonly #codecs: Codecs
  readonly #name: string
  readonly #all: readonly Column[]
  readonly #plain: readonly Column[]

  constructor(table: TableDescriptor, codecs: Codecs) {
    this.#table = table
    this.#codecs = codecs
    this.#name = `public.${identifier(table.name)}`
    this.#all = Object.entries(table.columns)
    this.#plain = this.#all.filter(([, column]) => column.type !== 'vector')
  }

  async byIds(database: Executor, ids: readonly string[]): Promise<Row[]> {
    if (ids.length === 0) return []
    const text = `select ${list(this.#all)} from ${this.#name} where id = any($1::uuid[])`
    const rows = await this.#read(database, text, [ids], this.#all)
    const byId = new Map(rows.map((row) => [row['id'], row]))
    return ids.map((id) => byId.get(id)).filter((row) => row !== undefined)
  }

  async query(database: Executor, query: Query): Promise<Row[]> {
    const params: unknown[] = []
    const clauses = [
      `select ${list(this.#plain)} from ${this.#name} where ${this.#condition(query, params)}`,
      `order by ${orderToSql(this.#table, query.orderBy ?? [])}`,
    ]
    if (query.limit !== undefined) clauses.push(`limit $${params.push(query.limit)}::int`)
    if (query.offset !== undefined) clauses.push(`offset $${params.push(query.offset)}::int`)
    return this.#read(database, clauses.join(' '), params, this.#plain)
  }

  async nearest(database: Executor, request: NearestRequest): Promise<{ readonly row: Row; readonly score: number }[]> {
    const column = this.#table.columns[request.column]
    if (column?.type !== 'vector') {
      throw new TideError('unknown_column', `${this.#table.name} has no vector column ${request.column}.`)
    }
    if (request.vector.length !== column.dimension) {
      const got = `${request.vector.length} numbers were given, ${request.column} has ${column.dimension}`
      throw new TideError('invalid_value', `A vector of another length cannot be searched for: ${got}.`)
    }
    const name = identifier(column.name)
    const params: unknown[] = [request.vector]
    const where = this.#condition(request.where === undefined ? {} : { where: request.where }, params)
    const text = `select ${list(this.#plain)}, 1 - (${name} <=> $1::vector) from ${this.#name}
      where ${name} is not null and ${where}
      order by ${name} <=> $1::vector, id limit $${params.push(request.limit)}::int`
    const results = await this.#values(database, text, params)
    const hits = results.map((values) => ({
      row: toRow(this.#plain, values),
      score: Number(values[this.#plain.length]),
    }))
    // A vector of length 0 has no direction: its distance is NaN, which sorts behind all others.
    return hits.filter((hit) => !Number.isNaN(hit.score))
  }

  #condition(query: Query, params: unknown[]): string {
    const parts: string[] = []
    const deletedAt = this.#table.columns['deletedAt']
    if (query.withDeleted !== true && deletedAt !== undefined) parts.push(`${identifier(deletedAt.name)} is null`)
    if (query.where !== undefined) parts.push(filterToSql(this.#table, query.where, params))
    return parts.length === 0 ? 'true' : parts.join(' and ')
  }

  async #read(database: Executor, text: string, params: unknown[], columns: readonly Column[]): Promise<Row[]> {
    return (await this.#values(database, text, params)).map((values) => toRow(columns, values))
  }

  async #values(database: Executor, text: string, params: unknown[]): Promise<readonly (readonly Value[])[]> {
    const { rows } = await database.query<readonly Value[]>(text, params, { rowMode: 'array', ...this.#codecs })
    return rows
  }
}

function list(columns: readonly Column[]): string {
  return columns.map(([, column]) => identifier(column.name)).join(', ')
}

function toRow(columns: readonly Column[], values: readonly Value[]): Row {
  const row: Record<string, Value> = {}
  columns.forEach(([property, column], index) => {
    row[property] = canonicalResult(column, values[index] ?? null)
  })
  return row
}
