import type pg from 'pg'
import { TideError } from '../../protocol/error.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Log } from '../telemetry/telemetry.ts'

export interface SchemaWatchOptions {
  readonly pool: pg.Pool
  readonly catalog: Catalog
  readonly log: Log
}

interface FoundColumn {
  readonly table_name: string
  readonly table_oid: string | null
  /** Null: the table has no such column. */
  readonly number: number | null
  readonly found: string | null
  readonly fits: boolean
  readonly captured: boolean
}

/** Every column that the server knows ($1 table, $2 column, $3 type, one each per place), with what the database has of it. Precision and length may differ. */
const columnsSql = `
select k.table_name, k.column_name, c.oid::text as table_oid, a.attnum as number, format_type(a.atttypid, a.atttypmod) as found,
  coalesce(a.atttypid = to_regtype(k.type), false) as fits,
  exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'capture_truncate') as captured
from unnest($1::text[], $2::text[], $3::text[]) as k(table_name, column_name, type)
left join pg_class c on c.relname = k.table_name and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
left join pg_attribute a on a.attrelid = c.oid and a.attname = k.column_name and not a.attisdropped`

/** Changes with every table, column, type and capture trigger; a fraction of the price of the comparison. */
const fingerprintSql = `
select md5(string_agg(concat_ws(' ', c.relname, c.oid, a.attname, a.attnum, a.atttypid), ',' order by c.oid, a.attnum))
  || (select string_agg(t.tgrelid::text, ',' order by t.tgrelid) from pg_trigger t where t.tgname = 'capture_truncate') as fingerprint
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`

/** At most so many differences stand in a message. */
const shown = 5

/**
 * Compares the tables of the database with the server's own idea of them. Answers what is missing, for as long as it is: the server
 * cannot read or write such a table, so nobody may be told to be current. A table or column that is back but not the same one has other
 * rows than before, and the WAL does not tell: then the epoch changes, and all replicas start over.
 */
export function createSchemaWatch({ pool, catalog, log }: SchemaWatchOptions): () => Promise<TideError | undefined> {
  const columns = [...catalog.byName.values()].flatMap((table) =>
    table.sqlColumns.map(({ name, sqlType }) => ({ table: table.name, name, sqlType })),
  )
  const captured = new Set(
    [...catalog.synced.values()]
      .filter(({ sqlColumns }) => sqlColumns.some(({ name }) => name === 'channel'))
      .map(({ name }) => name),
  )
  const values = [
    columns.map(({ table }) => table),
    columns.map(({ name }) => name),
    columns.map(({ sqlType }) => sqlType),
  ]

  let last: { readonly fingerprint: string; readonly answer: TideError | undefined } | undefined
  return async () => {
    const { rows } = await pool.query<{ fingerprint: string }>({ name: 'schema_fingerprint', text: fingerprintSql })
    const fingerprint = rows[0]?.fingerprint ?? ''
    if (last?.fingerprint !== fingerprint) last = { fingerprint, answer: await compare() }
    return last.answer
  }

  async function compare(): Promise<TideError | undefined> {
    const { rows } = await pool.query<FoundColumn & { column_name: string }>({
      text: columnsSql,
      values,
    })
    const problems = new Set(rows.flatMap((row) => problemOf(row, captured.has(row.table_name))))
    if (problems.size > 0) return mismatch([...problems])
    const shape: Record<string, Record<string, string>> = {}
    for (const { table_name, column_name, table_oid, number } of rows) {
      if (!captured.has(table_name)) continue
      // The table's own number beside those of its columns; no column has an empty name.
      const columnsOf = (shape[table_name] ??= { '': table_oid ?? '' })
      columnsOf[column_name] = String(number)
    }
    const answer = await pool.query<{ changed: string[] }>('select sync.compare_shape($1) as changed', [
      JSON.stringify(shape),
    ])
    const changed = answer.rows[0]?.changed ?? []
    if (changed.length > 0) {
      log.error('Tables were made again, and their rows changed unseen; all replicas start over', {
        code: 'capture_gap',
        tables: changed,
        remedy: 'Nothing. Change synced tables by migrations, with no server running.',
      })
    }
    return undefined
  }
}

function problemOf(row: FoundColumn & { readonly column_name: string }, mustBeCaptured: boolean): readonly string[] {
  const { table_name: table, column_name: column, table_oid, number, found, fits, captured } = row
  if (table_oid === null) return [`table ${table} is missing`]
  if (number === null) return [`${table}.${column} is missing`]
  if (!fits) return [`${table}.${column} is of type ${found}`]
  return mustBeCaptured && !captured ? [`${table} lacks its triggers`] : []
}

function mismatch(problems: readonly string[]): TideError {
  const more = problems.length > shown ? `, and ${problems.length - shown} more` : ''
  return new TideError(
    'schema_mismatch',
    `The database is not as this server was made for: ${problems.slice(0, shown).join(', ')}${more}.`,
    {
      remedy:
        'Put it back (a table with its triggers: from a dump), or start the server of the version that this schema is for. `npx tidewire doctor` has the statements.',
    },
  )
}
