import type { Row, Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'
import { unpackRows } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock, TableBlock } from '../../protocol/rows/block.ts'
import { readUuid } from '../../protocol/rows/uuid-bytes.ts'
import { canCopy, encodeCopy } from './copy-binary.ts'
import { encodeBlock } from './copy-block.ts'
import type { Codecs } from './pglite-codecs.ts'
import { columnSqlType, identifier } from './pglite-ddl.ts'
import type { Executor } from './pglite-like.ts'

type Column = readonly [property: string, column: ColumnDescriptor]

/** Rows in one statement. More gain nothing, and a statement is one pause of the event loop. */
const chunk = 2_000
/** From this many rows on, COPY is worth asking whether any of them is here already. */
const copyFrom = 200

/** Writes rows of one table into PGlite. */
export class PgliteWriter {
  readonly #table: TableDescriptor
  readonly #codecs: Codecs
  readonly #name: string
  readonly #columns: readonly Column[]
  readonly #statements = new Map<string, string>()

  constructor(table: TableDescriptor, codecs: Codecs) {
    this.#table = table
    this.#codecs = codecs
    this.#name = `public.${identifier(table.name)}`
    this.#columns = Object.entries(table.columns)
  }

  /** Adds or replaces rows. The columns in `absent` keep their value. */
  async put(database: Executor, given: readonly Row[], absent: readonly string[]): Promise<void> {
    const rows = lastOfEach(given)
    const columns =
      absent.length === 0 ? this.#columns : this.#columns.filter(([property]) => !absent.includes(property))
    for (let start = 0; start < rows.length; start += chunk) {
      const part = start === 0 && rows.length <= chunk ? rows : rows.slice(start, start + chunk)
      if (part.length >= copyFrom && canCopy(columns, part) && !(await this.#holdsAny(database, part))) {
        await this.#copy(database, columns, part)
      } else {
        await this.#upsert(database, columns, part)
      }
    }
  }

  /** Adds or replaces the rows of a block that has passed `checkPacked`. Columns that it lacks keep their value. */
  async putBlock(database: Executor, packed: PackedBlock): Promise<void> {
    if (await this.#copyBlock(database, packed)) return
    const { block, sections } = packed
    const sent = new Set(block.columns.map(({ name }) => name))
    const absent = this.#columns.map(([property]) => property).filter((property) => !sent.has(property))
    await this.put(database, unpackRows(this.#table, block, sections), absent)
  }

  /** True when the block was big, none of its rows was here, and all its columns could be copied. */
  async #copyBlock(database: Executor, packed: PackedBlock): Promise<boolean> {
    const { block, sections } = packed
    if (block.count < copyFrom) return false
    const ids = ascendingIds(block, sections)
    if (ids === undefined || (await this.#holdsBetween(database, ids))) return false
    const sent = new Set(block.columns.map(({ name }) => name))
    const columns = this.#columns.filter(([property]) => sent.has(property))
    const bytes = encodeBlock(columns, packed)
    if (bytes === undefined) return false
    await this.#copyBytes(database, columns, bytes)
    return true
  }

  async #holdsBetween(database: Executor, { first, last }: IdRange): Promise<boolean> {
    const text = `select 1 from ${this.#name} where id between $1::uuid and $2::uuid limit 1`
    const { rows } = await database.query(text, [first, last])
    return rows.length > 0
  }

  async delete(database: Executor, ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return
    await database.query(`delete from ${this.#name} where id = any($1::uuid[])`, [ids])
  }

  async clear(database: Executor): Promise<void> {
    await database.exec(`truncate ${this.#name}`)
  }

  async #holdsAny(database: Executor, rows: readonly Row[]): Promise<boolean> {
    const empty = await database.query(`select 1 from ${this.#name} limit 1`)
    if (empty.rows.length === 0) return false
    const ids = rows.map((row) => row['id'])
    const found = await database.query(`select 1 from ${this.#name} where id = any($1::uuid[]) limit 1`, [ids])
    return found.rows.length > 0
  }

  async #copy(database: Executor, columns: readonly Column[], rows: readonly Row[]): Promise<void> {
    await this.#copyBytes(database, columns, encodeCopy(columns, rows))
  }

  async #copyBytes(database: Executor, columns: readonly Column[], bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const text = `copy ${this.#name} (${list(columns)}) from '/dev/blob' with (format binary)`
    await database.query(text, [], { blob: new Blob([bytes]) })
  }

  async #upsert(database: Executor, columns: readonly Column[], rows: readonly Row[]): Promise<void> {
    const vectors = columns.filter(([, column]) => column.type === 'vector')
    const key = columns.map(([property]) => property).join()
    const text = this.#statements.get(key) ?? upsertStatement(this.#name, columns)
    this.#statements.set(key, text)
    const bare = vectors.length === 0 ? rows : rows.map((row) => without(row, vectors))
    const params = vectors.map(([property]) => rows.map((row) => row[property] ?? null))
    await database.query(text, [JSON.stringify(bare), ...params], this.#codecs)
  }
}

interface IdRange {
  readonly first: string
  readonly last: string
}

/** The ids of a block from first to last; undefined when they do not ascend (then one might be there twice). */
function ascendingIds({ columns, count }: TableBlock, sections: readonly Uint8Array[]): IdRange | undefined {
  const column = columns.find(({ name }) => name === 'id')
  const bytes = column?.kind === 'uuid' && column.present === undefined ? sections[column.section] : undefined
  if (bytes === undefined) return undefined
  for (let row = 1; row < count; row++) if (compareIds(bytes, 16 * (row - 1), 16 * row) >= 0) return undefined
  return { first: readUuid(bytes, 0), last: readUuid(bytes, 16 * (count - 1)) }
}

function compareIds(bytes: Uint8Array, a: number, b: number): number {
  for (let index = 0; index < 16; index++) {
    const difference = (bytes[a + index] ?? 0) - (bytes[b + index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** Rows come as one JSON text whose keys are the properties, and one array for each vector column, side by side. */
function upsertStatement(name: string, columns: readonly Column[]): string {
  const plain = columns.filter(([, column]) => column.type !== 'vector')
  const vectors = columns.filter(([, column]) => column.type === 'vector')
  const ordered = [...plain, ...vectors]
  const record = plain.map(
    ([property, column]) => `${identifier(property)} ${column.type === 'bytea' ? 'text' : columnSqlType(column)}`,
  )
  const functions = [
    `json_to_recordset($1::json) as (${record.join(', ')})`,
    ...vectors.map((_, index) => `unnest($${index + 2}::vector[])`),
  ]
  const values = ordered.map(([property, column]) =>
    column.type === 'bytea' ? `decode(r.${identifier(property)}, 'base64')` : `r.${identifier(property)}`,
  )
  const sets = ordered
    .filter(([property]) => property !== 'id')
    .map(([, { name: column }]) => `${identifier(column)} = excluded.${identifier(column)}`)
  return `insert into ${name} (${list(ordered)}) select ${values.join(', ')}
    from rows from (${functions.join(', ')}) as r(${ordered.map(([property]) => identifier(property)).join(', ')})
    on conflict (id) do ${sets.length === 0 ? 'nothing' : `update set ${sets.join(', ')}`}`
}

/** A statement may write a row once; of several with one id the last counts. */
function lastOfEach(rows: readonly Row[]): readonly Row[] {
  const byId = new Map(rows.map((row) => [row['id'], row]))
  return byId.size === rows.length ? rows : [...byId.values()]
}

function without(row: Row, columns: readonly Column[]): Row {
  const rest: Record<string, Value> = { ...row }
  for (const [property] of columns) delete rest[property]
  return rest
}

function list(columns: readonly Column[]): string {
  return columns.map(([, column]) => identifier(column.name)).join(', ')
}
