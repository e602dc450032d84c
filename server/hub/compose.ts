import { packRows } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Row, Value } from '../../protocol/rows/row.ts'
import { RowBytes } from '../db/row-bytes.ts'
import type { Change } from './feed.ts'
import type { Hit } from './route.ts'
import type { DownTables } from './spec.ts'

/** The rows and deletes of a batch or of a part of it, ready for a frame. */
export interface Part {
  readonly blocks: readonly PackedBlock[]
  readonly deletes: readonly { readonly table: string; readonly ids: string[] }[]
}

/** Hits of one of the specs that a batch is composed of, and whether that spec wants vectors. */
export interface Voice {
  readonly hits: readonly Hit[]
  readonly embeddings: boolean
}

export interface PartLimits {
  readonly partRows: number
  readonly partBytes: number
}

/** Rows of one table that travel with vectors or without. */
interface Upserts {
  readonly table: string
  readonly embeddings: boolean
  readonly rows: Row[]
  /** Those that are still as they came, by what was read of them. */
  readonly kept: Map<object, RowBytes[]>
}

interface Outcome {
  readonly upsert: boolean
  readonly embeddings: boolean
}

/**
 * One answer per row for a session that follows several specs: a row that any of them upserts is upserted, with vectors
 * if any of those wants them; else it is deleted (SPEC I5). Split into parts that stay near the limits; never empty.
 */
export function composeParts(voices: readonly Voice[], tables: DownTables, limits: PartLimits): readonly Part[] {
  const outcomes = settle(voices)
  const builder = new PartBuilder(tables, limits)
  const upserts = new Map<string, Upserts>()
  const deletes = new Map<string, string[]>()
  for (const [{ table, id, row }, { upsert, embeddings }] of outcomes) {
    if (!upsert || !row) push(deletes, table, id)
    else {
      const name = embeddings ? `${table}+` : table
      let found = upserts.get(name)
      if (!found) upserts.set(name, (found = { table, embeddings, rows: [], kept: new Map() }))
      if (row instanceof RowBytes) push(found.kept, row.form, row)
      else found.rows.push(row)
    }
  }
  for (const [table, ids] of deletes) builder.delete(table, ids)
  for (const upsert of upserts.values()) builder.upsert(upsert)
  return builder.end()
}

function settle(voices: readonly Voice[]): Map<Change, Outcome> {
  const outcomes = new Map<Change, Outcome>()
  for (const { hits, embeddings } of voices) {
    for (const { change, verdict } of hits) {
      const known = outcomes.get(change)
      const upsert = verdict === 'upsert'
      outcomes.set(change, {
        upsert: upsert || (known?.upsert ?? false),
        embeddings: (upsert && embeddings) || (known?.embeddings ?? false),
      })
    }
  }
  return outcomes
}

function push<K, T>(lists: Map<K, T[]>, name: K, item: T): void {
  const list = lists.get(name)
  if (list) list.push(item)
  else lists.set(name, [item])
}

class PartBuilder {
  readonly #tables: DownTables
  readonly #limits: PartLimits
  readonly #parts: Part[] = []
  #blocks: PackedBlock[] = []
  #deletes: { readonly table: string; readonly ids: string[] }[] = []
  #rows = 0
  #bytes = 0

  constructor(tables: DownTables, limits: PartLimits) {
    this.#tables = tables
    this.#limits = limits
  }

  delete(table: string, ids: readonly string[]): void {
    for (let start = 0; start < ids.length;) {
      const room = Math.max(1, this.#limits.partRows - this.#rows)
      const some = ids.slice(start, start + room)
      this.#deletes.push({ table, ids: some })
      this.#grow(some.length, some.length * 40)
      start += some.length
    }
  }

  upsert({ table, embeddings, rows, kept }: Upserts): void {
    const descriptor = this.#tables.get(table)
    if (!descriptor) return
    const sizeOf = (row: Row): number => rowBytes(row, embeddings)
    this.#add(rows, sizeOf, (some) => packRows(descriptor, some, { embeddings }))
    for (const of of kept.values()) {
      this.#add(
        of,
        ({ size }) => size,
        (some) => RowBytes.pack(some, { embeddings }),
      )
    }
  }

  #add<T>(rows: readonly T[], sizeOf: (row: T) => number, pack: (rows: readonly T[]) => PackedBlock): void {
    for (let start = 0; start < rows.length;) {
      let end = start
      let bytes = 0
      while (
        end < rows.length &&
        this.#rows + end - start < this.#limits.partRows &&
        (end === start || this.#bytes + bytes < this.#limits.partBytes)
      ) {
        const row = rows[end]
        if (row !== undefined) bytes += sizeOf(row)
        end++
      }
      this.#blocks.push(pack(rows.slice(start, end)))
      this.#grow(end - start, bytes)
      start = end
    }
  }

  end(): readonly Part[] {
    if (this.#rows > 0 || this.#parts.length === 0) this.#close()
    return this.#parts
  }

  #grow(rows: number, bytes: number): void {
    this.#rows += rows
    this.#bytes += bytes
    if (this.#rows >= this.#limits.partRows || this.#bytes >= this.#limits.partBytes) this.#close()
  }

  #close(): void {
    this.#parts.push({ blocks: this.#blocks, deletes: this.#deletes })
    this.#blocks = []
    this.#deletes = []
    this.#rows = 0
    this.#bytes = 0
  }
}

/** Roughly what a row weighs on the wire before packing. */
export function rowBytes(row: Row, embeddings: boolean): number {
  let bytes = 0
  for (const value of Object.values(row)) bytes += valueBytes(value, embeddings)
  return bytes
}

function valueBytes(value: Value, embeddings: boolean): number {
  if (typeof value === 'string') return value.length
  if (value instanceof Float32Array) return embeddings ? value.byteLength : 0
  return typeof value === 'object' && value !== null ? JSON.stringify(value).length : 8
}
