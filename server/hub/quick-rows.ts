import type pg from 'pg'
import type { Row } from '../../protocol/rows/row.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { binarySelectList, queryRaw, RowDecoder, type TakeRow } from '../db/row-packer.ts'
import type { FoldedKey } from './fold.ts'

/** Of which database and moment rows were read. */
interface Head {
  /** As Postgres writes it. */
  readonly snapshot: string
  readonly epoch: string
  readonly run: string
}

interface FoundRow {
  readonly row: Row
  /** The transaction that wrote it, or a part of one: the lower half of its id. */
  readonly xmin: number
}

/**
 * `head` is of the first statement: of several snapshots the first sees least. `rows` by `table/id`, of so many
 * `bytes`.
 */
export interface RowsFound {
  readonly head: Head
  readonly rows: ReadonlyMap<string, FoundRow>
  readonly bytes: number
}

/** More are read in a snapshot, where rows stay as they came: here each value becomes an object of the heap. */
const maxBytes = 2 * 1024 * 1024
/** So many keys are asked for before it is known how large their rows are. */
const firstKeys = 50

const headSql = `select pg_current_snapshot()::text as snapshot, epoch, sync.postgres_run() as run from sync_heads where id = 1`

/**
 * Reads rows by their keys as they are now, one statement for each table. Its statements are made once: to write the
 * list of a table's columns for each commit would cost more than to read the row.
 */
export class QuickRows {
  readonly #pool: pg.Pool
  readonly #catalog: Catalog
  readonly #statements = new Map<string, KeyStatement>()

  constructor(pool: pg.Pool, catalog: Catalog) {
    this.#pool = pool
    this.#catalog = catalog
  }

  /** Undefined: the database is not set up, or the rows are too large. */
  async read(keys: readonly FoldedKey[], embeddings: boolean): Promise<RowsFound | undefined> {
    const client = await this.#pool.connect()
    let failure: Error | undefined
    try {
      const rows = new Map<string, FoundRow>()
      let head: Head | undefined
      let bytes = 0
      for (const { table, some, rest } of partsOf(keys)) {
        const found = new FoundRows(this.#statement(table, embeddings), maxBytes - bytes)
        await queryRaw(client, found.statement.of(some), found.take)
        bytes += found.bytes
        if (bytes + (found.bytes / some.length) * rest > maxBytes) return undefined
        head ??= found.head
        for (const one of found.rows) rows.set(`${table}/${String(one.row['id'])}`, one)
      }
      head ??= (await client.query<Head>({ name: 'quick_head', text: headSql })).rows[0]
      return head && { head, rows, bytes }
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
      throw error
    } finally {
      client.release(failure)
    }
  }

  #statement(table: string, embeddings: boolean): KeyStatement {
    const name = `quick_${table}${embeddings ? '_e' : ''}`
    const known = this.#statements.get(name) ?? new KeyStatement(this.#catalog, table, embeddings, name)
    this.#statements.set(name, known)
    return known
  }
}

/** Some keys of one table, and how many it has besides that come later. */
interface Part {
  readonly table: string
  readonly some: readonly FoldedKey[]
  readonly rest: number
}

function* partsOf(keys: readonly FoldedKey[]): Generator<Part> {
  for (const [table, all] of Map.groupBy(keys, (key) => key.table)) {
    const rest = all.slice(firstKeys)
    yield { table, some: all.slice(0, firstKeys), rest: rest.length }
    if (rest.length > 0) yield { table, some: rest, rest: 0 }
  }
}

/**
 * Reads rows of one table by id, each behind the fields of `Head` and its `xmin`. Without any there is one of nulls.
 */
class KeyStatement {
  readonly decoder: RowDecoder
  readonly #one: pg.QueryConfig
  readonly #many: pg.QueryConfig

  constructor(catalog: Catalog, table: string, embeddings: boolean, name: string) {
    const found = catalog.synced.get(table)
    if (!found) throw new Error(`${table} is not synced.`)
    this.decoder = new RowDecoder(found, { embeddings })
    const text = `select h.snapshot, h.epoch, h.run, t.xmin, ${binarySelectList(found, { embeddings }, 't')}
      from (${headSql}) h left join "${table}" t on t.id = `
    this.#one = { name: `${name}_one`, text: `${text}$1::uuid` }
    this.#many = { name, text: `${text}any($1::uuid[])` }
  }

  /** One key is asked for by itself: Postgres keeps the plan of that, and would plan a list anew each time. */
  of(keys: readonly FoldedKey[]): pg.QueryConfig {
    const ids = keys.map(({ id }) => id)
    return ids.length === 1 ? { ...this.#one, values: ids } : { ...this.#many, values: [ids] }
  }
}

/** What one run of the statement gives. */
class FoundRows {
  readonly statement: KeyStatement
  readonly rows: FoundRow[] = []
  head: Head | undefined
  bytes = 0
  readonly #maxBytes: number

  constructor(statement: KeyStatement, maxBytes: number) {
    this.statement = statement
    this.#maxBytes = maxBytes
  }

  /** What is beyond the bytes is counted, and not kept. */
  readonly take: TakeRow = (bytes, offset, end) => {
    this.bytes += end - offset
    if (this.bytes > this.#maxBytes) return
    let at = offset + 2
    const text = (): string => {
      const start = at + 4
      at = start + bytes.readInt32BE(at)
      return bytes.toString('utf8', start, at)
    }
    const head = { snapshot: text(), epoch: text(), run: text() }
    this.head ??= head
    if (bytes.readInt32BE(at) < 0) return
    // The decoder begins behind a number of fields, which it does not read.
    this.rows.push({ row: this.statement.decoder.decode(bytes, at + 8 - 2), xmin: bytes.readUInt32BE(at + 4) })
  }
}
