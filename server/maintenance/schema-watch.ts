import type pg from 'pg'
import { TideError } from '../../protocol/error.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Log } from '../telemetry/telemetry.ts'

export interface SchemaWatchOptions {
  readonly pool: pg.Pool
  readonly catalog: Catalog
  readonly log: Log
  /** Rows may have changed unseen, and replicas start over. */
  readonly onGap?: ((cause: 'altered') => void) | undefined
}

interface FoundColumn {
  readonly table_name: string
  readonly table_oid: string | null
  /** Null: the table has no such column. */
  readonly number: number | null
  readonly found: string | null
  readonly fits: boolean
  /** The triggers that sync needs, of those that are there and not disabled. */
  readonly triggers: readonly string[]
  /** Of the table's contents: another one when they were rewritten. */
  readonly file: string | null
  /**
   * Another one when the column was altered. A column with a default is known by its default, which a change of type makes anew: a VACUUM FULL
   * writes the column itself, when rows from before it was added have its first value nowhere but there.
   */
  readonly altered: string | null
}

/** Without the first its truncation, without the second the channel of its rows, without the third their changes would go unnoticed. */
const neededTriggers = ['capture_truncate', 'a_channel', 'b_touch'] as const
const triggerList = neededTriggers.map((name) => `'${name}'`).join(', ')

/** Every column that the server knows ($1 table, $2 column, $3 type, one each per place), with what the database has of it. Precision and length may differ. */
const columnsSql = `
select k.table_name, k.column_name, c.oid::text as table_oid, a.attnum as number, format_type(a.atttypid, a.atttypmod) as found,
  coalesce(a.atttypid = to_regtype(k.type), false) as fits, c.relfilenode::text as file, coalesce(d.oid::text, a.xmin::text) as altered,
  coalesce(triggers.names, '{}') as triggers
from unnest($1::text[], $2::text[], $3::text[]) as k(table_name, column_name, type)
left join pg_class c on c.relname = k.table_name and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
left join pg_attribute a on a.attrelid = c.oid and a.attname = k.column_name and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
left join (
  -- With capture from the WAL its own triggers rest.
  select t.tgrelid, array_agg(t.tgname::text) as names from pg_trigger t
  where t.tgname in (${triggerList}) and (t.tgenabled <> 'D' or t.tgname like 'capture%') group by t.tgrelid
) triggers on triggers.tgrelid = c.oid`

/** Changes with every table, column, rewriting and trigger that is compared; a fraction of the price of the comparison. */
const fingerprintSql = `
select md5(string_agg(concat_ws(' ', c.relname, c.oid, c.relfilenode, a.attname, a.attnum, a.atttypid, a.xmin), ',' order by c.oid, a.attnum))
  || (select md5(string_agg(concat_ws(' ', t.tgrelid, t.tgname, t.tgenabled), ',' order by t.tgrelid, t.tgname)) from pg_trigger t where t.tgname in (${triggerList})) as fingerprint
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`

/** At most so many differences stand in a message. */
const shown = 5

/**
 * Compares the tables of the database with the server's own idea of them. Answers what is missing, for as long as it is: the server
 * cannot read or write such a table, so nobody may be told to be current. A table or column that is back but not the same one has other
 * rows than before, and the WAL does not tell; nor does it of rows that were rewritten with another type, or changed while the trigger that raises
 * their version was away: then the epoch changes, and all replicas start over.
 */
export function createSchemaWatch({
  pool,
  catalog,
  log,
  onGap,
}: SchemaWatchOptions): () => Promise<TideError | undefined> {
  const columns = [...catalog.byName.values()].flatMap((table) =>
    table.sqlColumns.map(({ name, sqlType }) => ({ table: table.name, name, sqlType })),
  )
  const captured = new Map(
    [...catalog.synced.values()]
      .filter(({ sqlColumns }) => sqlColumns.some(({ name }) => name === 'channel'))
      // The channel of a conflict is given with it.
      .map(({ name, scope }) => [
        name,
        neededTriggers.filter((trigger) => trigger !== 'a_channel' || scope?.kind !== 'conflict_home'),
      ]),
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
    const problems = rows.flatMap((row) => problemsOf(row, captured.get(row.table_name) ?? []))
    if (problems.length > 0) {
      const doubtful = new Set(
        problems.flatMap(({ doubtful }) => doubtful ?? []).filter((table) => captured.has(table)),
      )
      await pool.query('select sync.distrust_shape($1)', [[...doubtful]])
      return mismatch([...new Set(problems.map(({ what }) => what))])
    }
    const shape: Record<string, Record<string, string>> = {}
    for (const { table_name, column_name, table_oid, number, file, altered } of rows) {
      if (!captured.has(table_name)) continue
      // The table's own number beside those of its columns; no column has an empty name, or one with a blank.
      const of = (shape[table_name] ??= { '': table_oid ?? '', ' file': file ?? '', ' altered': '' })
      of[column_name] = String(number)
      of[' altered'] += ` ${altered}`
    }
    const answer = await pool.query<{ changed: string[] }>('select sync.compare_shape($1) as changed', [
      JSON.stringify(shape),
    ])
    const changed = answer.rows[0]?.changed ?? []
    if (changed.length > 0) {
      log.error('Tables were made again or altered, and their rows may have changed unseen; all replicas start over', {
        code: 'capture_gap',
        tables: changed,
        remedy: 'Nothing. Change synced tables by migrations, with no server running.',
      })
      onGap?.('altered')
    }
    return undefined
  }
}

interface Problem {
  readonly what: string
  /** The table whose rows may be changed by this, or while it lasts, without anybody being told. What is missing shows when it is back. */
  readonly doubtful?: string
}

function problemsOf(
  row: FoundColumn & { readonly column_name: string },
  needed: readonly string[],
): readonly Problem[] {
  const { table_name: table, column_name: column, table_oid, number, found, fits, triggers } = row
  if (table_oid === null) return [{ what: `table ${table} is missing` }]
  if (number === null) return [{ what: `${table}.${column} is missing` }]
  if (!fits) return [{ what: `${table}.${column} is of type ${found}`, doubtful: table }]
  const missing = needed.filter((name) => !triggers.includes(name))
  if (missing.length === 0) return []
  return [{ what: `${table} lacks its triggers, or they are disabled: ${missing.join(', ')}`, doubtful: table }]
}

function mismatch(problems: readonly string[]): TideError {
  const more = problems.length > shown ? `, and ${problems.length - shown} more` : ''
  return new TideError(
    'schema_mismatch',
    `The database is not as this server was made for: ${problems.slice(0, shown).join(', ')}${more}.`,
    {
      remedy:
        'Put it back (a table with its triggers: from a dump; disabled triggers: `ALTER TABLE … ENABLE ALWAYS TRIGGER …`), or start the server of the version that this schema is for. `npx tidewire doctor` has the statements.',
    },
  )
}
