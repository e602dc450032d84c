import { TideError } from '../../protocol/error.ts'
import { plainBlank } from '../../protocol/rows/block-codec.ts'
import { compileFilter, compileOrder } from '../../protocol/rows/matcher.ts'
import type { Filter, Query } from '../../protocol/rows/filter.ts'
import { rowId, type Row, type Value } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { BlockRows } from './block-rows.ts'
import { equalities } from './equalities.ts'
import type { NearestRequest } from './store.ts'
import { Top } from './top.ts'
import { VectorColumn } from './vector-column.ts'

/** Below this many rows a scan is cheaper than keeping an index. */
const indexFrom = 1_000

/** Up to this many rows, finding the first ones beats sorting all. */
const heapUpTo = 1_000

type Index = Map<string, Set<string>>

/** The rows of one table by id; vectors lie apart. References that were asked for get an index when first asked. */
export class MemoryTable {
  readonly descriptor: TableDescriptor
  readonly #rows = new Map<string, Row>()
  readonly #vectors: ReadonlyMap<string, VectorColumn>
  readonly #plain: readonly string[]
  readonly #indexes = new Map<string, Index>()

  constructor(descriptor: TableDescriptor) {
    this.descriptor = descriptor
    const columns = Object.entries(descriptor.columns)
    const vectors = columns.filter(([, column]) => column.type === 'vector')
    this.#vectors = new Map(vectors.map(([key, column]) => [key, new VectorColumn(column.dimension ?? 0)]))
    this.#plain = columns.filter(([, column]) => column.type !== 'vector').map(([key]) => key)
  }

  /** The row without its vectors. */
  get(id: string): Row | undefined {
    return this.#rows.get(id)
  }

  /** The row with its vectors. */
  full(id: string): Row | undefined {
    const row = this.#rows.get(id)
    if (row === undefined || this.#vectors.size === 0) return row
    const vectors = [...this.#vectors].map(([key, column]) => [key, column.get(id) ?? null] as const)
    return { ...row, ...Object.fromEntries(vectors) }
  }

  values(): Iterable<Row> {
    return this.#rows.values()
  }

  /** Adds or replaces a row. The columns in `absent` keep their value, or are null. */
  put(row: Row, absent: readonly string[]): void {
    const id = rowId(row)
    this.#set(id, this.#complete(row, absent, this.#rows.get(id)))
    for (const [key, column] of this.#vectors) if (!absent.includes(key)) putVector(column, id, row[key])
  }

  /** Adds or replaces rows that came together. */
  putBlock({ rows, vectors, absent }: BlockRows): void {
    const kept = absent.filter((key) => !this.#vectors.has(key))
    for (const row of rows) {
      const id = rowId(row)
      const before = kept.length === 0 ? undefined : this.#rows.get(id)
      this.#set(id, before === undefined ? row : { ...row, ...pick(before, kept) })
    }
    for (const [key, values] of vectors) {
      const column = this.#vectors.get(key)
      if (column) rows.forEach((row, index) => putVector(column, rowId(row), values[index]))
    }
  }

  /** `row` is whole, and without vectors. */
  #set(id: string, row: Row): void {
    const before = this.#indexes.size === 0 ? undefined : this.#rows.get(id)
    if (before !== undefined) this.#unindex(before)
    this.#rows.set(id, row)
    for (const [key, index] of this.#indexes) addTo(index, row[key], id)
  }

  delete(id: string): void {
    const row = this.#rows.get(id)
    if (row === undefined) return
    this.#unindex(row)
    this.#rows.delete(id)
    for (const column of this.#vectors.values()) column.delete(id)
  }

  clear(): void {
    this.#rows.clear()
    this.#indexes.clear()
    for (const column of this.#vectors.values()) column.clear()
  }

  query(query: Query): Row[] {
    const matches = this.#test(query)
    const orderBy = query.orderBy ?? []
    const compare = orderBy.length === 0 ? byId : compileOrder(this.descriptor, orderBy)
    const offset = query.offset ?? 0
    const end = query.limit === undefined ? Infinity : offset + query.limit
    if (end <= heapUpTo) {
      const top = new Top<Row>(end, compare)
      for (const row of this.#candidates(query.where)) if (matches(row)) top.add(row)
      return top.toSorted().slice(offset)
    }
    const found: Row[] = []
    for (const row of this.#candidates(query.where)) if (matches(row)) found.push(row)
    return found.sort(compare).slice(offset, end)
  }

  nearest(request: NearestRequest): { readonly row: Row; readonly score: number }[] {
    const column = this.#vectors.get(request.column)
    if (column === undefined) {
      throw new TideError('unknown_column', `${this.descriptor.name} has no vector column ${request.column}.`)
    }
    const matches = this.#test(request.where === undefined ? {} : { where: request.where })
    const hits = column.nearest(request.vector, request.limit, (id) => {
      const row = this.#rows.get(id)
      return row !== undefined && matches(row)
    })
    return hits.flatMap(({ id, score }) => {
      const row = this.#rows.get(id)
      return row === undefined ? [] : [{ row, score }]
    })
  }

  #test(query: Query): (row: Row) => boolean {
    const matches = query.where === undefined ? undefined : this.#compile(query.where)
    const hides = query.withDeleted !== true && 'deletedAt' in this.descriptor.columns
    if (matches === undefined) return hides ? (row) => row['deletedAt'] === null : () => true
    return hides ? (row) => row['deletedAt'] === null && matches(row) : matches
  }

  #compile(where: Filter): (row: Row) => boolean {
    const matches = compileFilter(this.descriptor, where)
    if (this.#vectors.size === 0) return matches
    const text = JSON.stringify(where)
    const asksForVectors = [...this.#vectors.keys()].some((key) => text.includes(`"${key}"`))
    return asksForVectors ? (row) => matches(this.full(rowId(row)) ?? row) : matches
  }

  /** A superset of the rows that the filter takes: by id, by an index, or all. */
  #candidates(where: Filter | undefined): Iterable<Row> {
    if (where === undefined) return this.#rows.values()
    const wanted = equalities(this.descriptor, where)
    const ids = wanted.get('id')
    if (ids !== undefined) return this.#pick(ids)
    if (this.#rows.size < indexFrom) return this.#rows.values()
    for (const [key, values] of wanted) {
      const index = this.#indexes.get(key) ?? this.#index(key)
      const found = values.map((value) => index.get(value) ?? new Set<string>())
      const size = found.reduce((total, ids) => total + ids.size, 0)
      if (size * 8 < this.#rows.size) return this.#pick(found.flatMap((ids) => [...ids]))
    }
    return this.#rows.values()
  }

  #pick(ids: readonly string[]): Row[] {
    const rows: Row[] = []
    for (const id of new Set(ids)) {
      const row = this.#rows.get(id)
      if (row !== undefined) rows.push(row)
    }
    return rows
  }

  #index(key: string): Index {
    const index: Index = new Map()
    for (const [id, row] of this.#rows) addTo(index, row[key], id)
    this.#indexes.set(key, index)
    return index
  }

  #unindex(row: Row): void {
    for (const [key, index] of this.#indexes) {
      const value = row[key]
      if (typeof value === 'string') index.get(value)?.delete(rowId(row))
    }
  }

  #complete(row: Row, absent: readonly string[], before: Row | undefined): Row {
    if (absent.length === 0 && this.#vectors.size === 0) return row
    const complete: Record<string, Value> = { ...plainBlank(this.descriptor) }
    for (const key of this.#plain) complete[key] = (absent.includes(key) ? before?.[key] : row[key]) ?? null
    return complete
  }
}

function putVector(column: VectorColumn, id: string, value: Value | undefined): void {
  if (value instanceof Float32Array) column.set(id, value)
  else column.delete(id)
}

function pick(row: Row, keys: readonly string[]): Row {
  return Object.fromEntries(keys.map((key) => [key, row[key] ?? null]))
}

/** Ids are lower-case UUIDs, so plain order is theirs. */
function byId(a: Row, b: Row): number {
  const one = rowId(a)
  const other = rowId(b)
  return one < other ? -1 : one > other ? 1 : 0
}

function addTo(index: Index, value: unknown, id: string): void {
  if (typeof value !== 'string') return
  const ids = index.get(value)
  if (ids === undefined) index.set(value, new Set([id]))
  else ids.add(id)
}
