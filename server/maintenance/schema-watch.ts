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
  readonly column_name: string
  readonly table_oid: string | null
  /** Null: the table has no such column. */
  readonly number: number | null
  readonly found: string | null
  readonly fits: boolean
  /** Of the table's contents: another one when they were rewritten. */
  readonly file: string | null
  /**
   * Another one when the column was altered. A column with a default is known by its default, which a change of type
   * makes anew: a VACUUM FULL writes the column itself, when rows from before it was added have its first value nowhere
   * but there.
   */
  readonly altered: string | null
}

interface FoundTrigger {
  readonly table_name: string
  readonly name: string
  /** Also for a session that plays a replica. */
  readonly fires_always: boolean
  /** Changes are captured from the WAL instead. */
  readonly rests: boolean
  /** Another one when it was made again, disabled or enabled, unless a migration did that. */
  readonly stamp: string
}

/** Without these, changes of a table, its truncation too, would go unnoticed. */
const captureTriggers = ['capture_insert', 'capture_update', 'capture_delete', 'capture_truncate'] as const
/** Without these, the channel of its rows, or that they changed. The channel of a conflict is given with it. */
const rowTriggers = ['a_channel', 'b_touch'] as const

/**
 * Every column that the server knows ($1 table, $2 column, $3 type, one each per place), with what the database has of
 * it. Precision and length may differ.
 */
const columnsSql = `
select k.table_name, k.column_name, c.oid::text as table_oid, a.attnum as number, format_type(a.atttypid, a.atttypmod) as found,
  coalesce(a.atttypid = to_regtype(k.type), false) as fits, c.relfilenode::text as file, coalesce(d.oid::text, a.xmin::text) as altered
from unnest($1::text[], $2::text[], $3::text[]) as k(table_name, column_name, type)
left join pg_class c on c.relname = k.table_name and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
left join pg_attribute a on a.attrelid = c.oid and a.attname = k.column_name and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum`

/** Triggers that tell of changes, those of grants (`log_…`) among them. */
const isTelling = `t.tgname ~ '^(a_channel$|b_touch$|capture_|log_)'`

/** A migration and what it made have one transaction. */
const triggersSql = `
select c.relname as table_name, t.tgname as name, t.tgenabled = 'A' as fires_always,
  t.tgname like 'capture%' and s.capture = 'wal'
    and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'channel' and not a.attisdropped) as rests,
  concat_ws(' ', t.oid, case when m.name is null then t.xmin::text end) as stamp
from pg_trigger t join pg_class c on c.oid = t.tgrelid cross join sync.settings s left join mikro_orm_migrations m on m.xmin = t.xmin
where c.relnamespace = 'public'::regnamespace and ${isTelling}`

/**
 * Changes with every table, column, rewriting and trigger that is compared; a fraction of the price of the comparison.
 */
const fingerprintSql = `
select md5(string_agg(concat_ws(' ', c.relname, c.oid, c.relfilenode, a.attname, a.attnum, a.atttypid, a.xmin), ',' order by c.oid, a.attnum))
  || (select md5(string_agg(concat_ws(' ', t.tgrelid, t.tgname, t.tgenabled, t.xmin), ',' order by t.tgrelid, t.tgname)) from pg_trigger t where ${isTelling})
  || (select capture from sync.settings) as fingerprint
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`

/** At most so many differences stand in a message. */
const shown = 5

/**
 * Compares the tables of the database with the server's own idea of them. Answers what is missing, for as long as it
 * is: the server cannot read or write such a table, so nobody may be told to be current. A table or column that is back
 * but not the same one has other rows than before, and the WAL does not tell; nor does it of rows that were rewritten
 * with another type, or changed while the triggers that tell of changes were away, be it between two looks: then the
 * epoch changes, and all replicas start over.
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
    [...catalog.byName.values()].flatMap(({ name, descriptor, sqlColumns, scope, capture }) => {
      if (descriptor && sqlColumns.some((column) => column.name === 'channel'))
        return [[name, [...rowTriggers.slice(scope?.kind === 'conflict_home' ? 1 : 0), ...captureTriggers]] as const]
      return capture ? [[name, captureTriggers] as const] : []
    }),
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
    const { rows: found } = await pool.query<FoundColumn>({ text: columnsSql, values })
    const { rows: triggers } = await pool.query<FoundTrigger>(triggersSql)
    const there = new Set(found.filter(({ table_oid }) => table_oid !== null).map(({ table_name }) => table_name))
    const problems = [
      ...found.flatMap(columnProblems),
      ...[...captured].flatMap(([table, needed]) => (there.has(table) ? triggerProblems(table, needed, triggers) : [])),
    ]
    if (problems.length > 0) {
      const doubtful = new Set(
        problems.flatMap(({ doubtful }) => doubtful ?? []).filter((table) => captured.has(table)),
      )
      await pool.query('select sync.distrust_shape($1)', [[...doubtful]])
      return mismatch([...new Set(problems.map(({ what }) => what))])
    }
    const shape: Record<string, Record<string, string>> = {}
    for (const { table_name, column_name, table_oid, number, file, altered } of found) {
      if (!captured.has(table_name)) continue
      // The table's own number beside those of its columns; no column has an empty name, or one with a blank.
      const of = (shape[table_name] ??= { '': table_oid ?? '', ' file': file ?? '', ' altered': '' })
      of[column_name] = String(number)
      of[' altered'] += ` ${altered}`
    }
    for (const { table_name, name, rests, stamp } of triggers) {
      const of = shape[table_name]
      if (of && !rests) of[` ${name}`] = stamp
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
  /**
   * The table whose rows may be changed by this, or while it lasts, without anybody being told. What is missing shows
   * when it is back.
   */
  readonly doubtful?: string
}

function columnProblems(column: FoundColumn): readonly Problem[] {
  const { table_name: table, column_name: name, table_oid, number, found, fits } = column
  if (table_oid === null) return [{ what: `table ${table} is missing` }]
  if (number === null) return [{ what: `${table}.${name} is missing` }]
  return fits ? [] : [{ what: `${table}.${name} is of type ${found}`, doubtful: table }]
}

function triggerProblems(
  table: string,
  needed: readonly string[],
  triggers: readonly FoundTrigger[],
): readonly Problem[] {
  const firing = new Set(
    triggers
      .filter(({ table_name, fires_always, rests }) => table_name === table && (fires_always || rests))
      .map(({ name }) => name),
  )
  const missing = needed.filter((name) => !firing.has(name))
  if (missing.length === 0) return []
  return [{ what: `${table} lacks its triggers, or they do not fire always: ${missing.join(', ')}`, doubtful: table }]
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
