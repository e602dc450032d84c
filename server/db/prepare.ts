/**
 * What a migrated database needs besides its schema: roles, grants and policies of all tables, vectors of the
 * configured dimension, and the rows that Tidewire ships. All are settled in one transaction, whose work is nothing
 * when nothing is new.
 */
import { createHash } from 'node:crypto'
import pg from 'pg'
import { loadCatalog } from '../catalog/catalog.ts'
import { shippedRows, type ShippedTable } from '../catalog/shipped-rows.ts'
import { embeddingDimension, type TableEntity } from '../entities/define.ts'
import { TideError } from '../../protocol/error.ts'
import type { BeginPatiently } from './lock-wait.ts'

const dimensionKey = 'embedding.dimension'
const modelKey = 'embedding.model'
const shippedKey = 'shipped.hash'

/** What embeddings are made with; each is left as it is where it is absent. */
export interface EmbeddingChoice {
  readonly dimension?: number
  readonly model?: string | undefined
}

/**
 * Secures the tables, ships rows and settles the dimension of embeddings: that of `embedding` on a database that has
 * none yet. Throws `config_invalid` when the database was made with another one. `own`: the tables of an application.
 */
export async function prepare(
  connection: pg.ClientConfig,
  begin: BeginPatiently,
  embedding: EmbeddingChoice = {},
  own: readonly TableEntity[] = [],
): Promise<void> {
  const { dimension, model } = embedding
  const shipped = shippedRows(loadCatalog(own))
  const hash = createHash('sha256').update(JSON.stringify(shipped)).digest('hex').slice(0, 16)
  const client = new pg.Client(connection)
  await client.connect()
  try {
    await client.query('begin')
    await begin(async (text) => (await client.query<{ pid: number }>(text)).rows)
    await client.query('select sync.ensure_roles(), sync.secure()')
    await settleDimension(client, dimension)
    if (model !== undefined && (await settingOf(client, modelKey)) !== model)
      await keepSetting(client, modelKey, model, 'Model of the embeddings that the server makes.')
    if ((await settingOf(client, shippedKey)) !== hash) {
      for (const table of shipped) await ship(client, table)
      await keepSetting(client, shippedKey, hash, 'Fingerprint of the rows that were shipped last.')
    }
    await client.query('commit')
  } finally {
    await client.end()
  }
}

async function settleDimension(client: pg.Client, configured: number | undefined): Promise<void> {
  const made = await settingOf(client, dimensionKey)
  if (made !== undefined) {
    if (configured === undefined || configured === made) return
    throw new TideError(
      'config_invalid',
      `EMBEDDING_DIMENSION is ${configured}, but this database was made for embeddings of ${String(made)} dimensions.`,
      {
        remedy: `Set EMBEDDING_DIMENSION=${String(made)}, or migrate the vector columns and the setting ${dimensionKey}.`,
      },
    )
  }
  const dimension = configured ?? embeddingDimension
  if (dimension !== embeddingDimension) await resizeVectors(client, dimension)
  await keepSetting(
    client,
    dimensionKey,
    dimension,
    'Number of dimensions of every embedding, chosen when the database was made.',
  )
}

/** A graph takes vectors of at most so many dimensions, and twice as many in half precision. */
const longestWhole = 2000

/** Only of a database without embeddings: no vector has another number of dimensions than its column. */
async function resizeVectors(client: pg.Client, dimension: number): Promise<void> {
  const { rows: graphs } = await client.query<{ name: string; definition: string }>(`
    select x.indexrelid::regclass::text as name, pg_get_indexdef(x.indexrelid) as definition
    from pg_index x join pg_class i on i.oid = x.indexrelid join pg_am m on m.oid = i.relam where m.amname = 'hnsw'`)
  const triggers = await triggersOfVectors(client)
  for (const { name } of graphs) await client.query(`drop index ${name}`)
  for (const { name, table } of triggers) await client.query(`drop trigger ${name} on ${table}`)
  const { rows } = await client.query<{ table: string; column: string }>(`
    select c.oid::regclass::text as table, a.attname as column
    from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.atttypid = 'vector'::regtype and not a.attisdropped`)
  for (const { table, column } of rows)
    await client.query(`alter table ${table} alter column ${pg.escapeIdentifier(column)} type vector(${dimension})`)
  for (const { definition } of graphs)
    await client.query(
      dimension > longestWhole
        ? definition.replace(/\((\w+) vector_cosine_ops\)/, `(($1::halfvec(${dimension})) halfvec_cosine_ops)`)
        : definition,
    )
  for (const { name, table, definition, firing } of triggers) {
    await client.query(definition)
    await client.query(`alter table ${table} ${firing} trigger ${name}`)
  }
}

interface VectorTrigger {
  readonly name: string
  readonly table: string
  readonly definition: string
  /** As `alter table` says it. */
  readonly firing: string
}

/** Triggers that name a column of vectors: Postgres changes the type of none that a trigger names. */
async function triggersOfVectors(client: pg.Client): Promise<readonly VectorTrigger[]> {
  const { rows } = await client.query<VectorTrigger>(`
    select distinct quote_ident(t.tgname) as name, t.tgrelid::regclass::text as table, pg_get_triggerdef(t.oid) as definition,
      case t.tgenabled when 'A' then 'enable always' when 'R' then 'enable replica' when 'D' then 'disable' else 'enable' end as firing
    from pg_depend d
    join pg_trigger t on d.classid = 'pg_trigger'::regclass and d.objid = t.oid
    join pg_attribute a on d.refclassid = 'pg_class'::regclass and a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where a.atttypid = 'vector'::regtype and not t.tgisinternal and t.tgparentid = 0`)
  return rows
}

async function ship(client: pg.Client, { table, rows, upkeep }: ShippedTable): Promise<void> {
  const columns = Object.keys(rows[0] ?? {})
  const names = columns.map(pg.escapeIdentifier)
  const changeable = names.filter((name) => name !== '"id"')
  const current = changeable.map((name) => `kept.${name}`).join(', ')
  const fresh = changeable.map((name) => `excluded.${name}`).join(', ')
  const upsert = `do update set ${changeable.map((name) => `${name} = excluded.${name}`).join(', ')}
    where (${current}) is distinct from (${fresh})`
  await client.query(
    `insert into ${table} as kept (${names.join(', ')})
     select ${names.join(', ')} from jsonb_populate_recordset(null::${table}, $1)
     on conflict (id) ${upkeep === 'ours' ? upsert : 'do nothing'}`,
    [JSON.stringify(rows)],
  )
  if (upkeep === 'theirs') return
  const ids = rows.map((row) => row['id'])
  if (table === 'sync_tables') await client.query('delete from sync_tables where id <> all ($1)', [ids])
  // What a client may still hold is not forgotten.
  if (table === 'enum_values')
    await client.query('update enum_values set deprecated_at = now() where deprecated_at is null and id <> all ($1)', [
      ids,
    ])
}

async function settingOf(client: pg.Client, key: string): Promise<unknown> {
  const { rows } = await client.query<{ value: unknown }>('select value from system_settings where key = $1', [key])
  return rows[0]?.value
}

async function keepSetting(client: pg.Client, key: string, value: string | number, description: string): Promise<void> {
  await client.query(
    `insert into system_settings (key, value, description) values ($1, $2, $3)
     on conflict (key) do update set value = excluded.value, description = excluded.description`,
    [key, JSON.stringify(value), description],
  )
}
