import type pg from 'pg'
import type { Catalog } from '../../catalog/catalog.ts'
import type { Log } from '../../telemetry/telemetry.ts'
import { alone } from '../alone.ts'
import { recordRun } from '../runs.ts'
import { EmbeddingError, type EmbeddingProvider } from './provider.ts'

export interface EmbedOptions {
  readonly pool: pg.Pool
  readonly catalog: Catalog
  readonly provider: EmbeddingProvider
  readonly signal: AbortSignal
  /** Texts of one request. */
  readonly batch?: number
}

/** What a round came to. `failed`: rows that the service refused, and why. */
export interface Embedded {
  readonly embedded: number
  readonly failed: readonly { readonly table: string; readonly id: string; readonly reason: string }[]
}

/** Characters of a text that are sent: services read a few thousand words. */
const maxText = 20_000
/** Rows of one round, so that a round ends. */
const maxRows = 5000
/** Refusals that a run keeps. */
const maxKept = 100

interface Pending {
  readonly id: string
  readonly text: string
  /** Of what is embedded: a row that changes meanwhile stays pending. */
  readonly state: string
}

const stateOf = `md5(coalesce(title, '') || chr(1) || content)`

/** Tables whose rows say how far their embedding is, by SQL name. */
function embeddedTables(catalog: Catalog): readonly string[] {
  return [...catalog.synced.values()]
    .filter(({ descriptor }) => 'embeddingStatus' in descriptor.columns)
    .map(({ name }) => name)
    .toSorted()
}

/**
 * Makes the embeddings of rows that wait for one. Undefined: there were none, or another server is at it. Throws when
 * nothing can be embedded now; the rows then wait on.
 */
export function embedRows(options: EmbedOptions): Promise<Embedded | undefined> {
  const { pool, catalog } = options
  const tables = embeddedTables(catalog)
  return alone(pool, 'embedding', async () => {
    const waiting = tables.map((table) => `exists (select from ${table} where ${isPending})`).join(' or ')
    const { rows } = await pool.query<{ some: boolean }>(`select ${waiting} as some`)
    if (!rows[0]?.some) return undefined
    return recordRun(
      pool,
      { kind: 'embedding' },
      () => embedAll(options, tables),
      ({ embedded, failed }) => ({
        status: 'completed',
        affected: embedded,
        details: { model: options.provider.model, refused: failed.length, failed: failed.slice(0, maxKept) },
      }),
    )
  })
}

const isPending = `embedding_status = 'pending' and deleted_at is null`

async function embedAll(options: EmbedOptions, tables: readonly string[]): Promise<Embedded> {
  const { pool, provider, signal, batch = 64 } = options
  const failed: Embedded['failed'][number][] = []
  let embedded = 0
  for (const table of tables) {
    let after: string | null = null
    for (let seen = 0; seen < maxRows && !signal.aborted;) {
      const { rows }: pg.QueryResult<Pending> = await pool.query(
        `select id, left(concat_ws(E'\\n\\n', title, content), ${maxText}) as text, ${stateOf} as state from ${table}
         where ${isPending} and ($1::uuid is null or id > $1) order by id limit $2`,
        [after, batch],
      )
      if (rows.length === 0) break
      seen += rows.length
      after = rows.at(-1)?.id ?? null
      const { made, refused } = await vectorsOf(provider, rows, signal)
      embedded += await store(pool, table, provider.model, made)
      if (refused.length === 0) continue
      await pool.query(
        `update ${table} set embedding_status = 'failed' where id = any($1::uuid[]) and embedding_status = 'pending'`,
        [refused.map(({ id }) => id)],
      )
      failed.push(...refused.map((one) => ({ table, ...one })))
    }
  }
  return { embedded, failed }
}

interface Made {
  readonly row: Pending
  readonly vector: readonly number[]
}

interface Result {
  readonly made: readonly Made[]
  readonly refused: readonly { readonly id: string; readonly reason: string }[]
}

/** One text that the service refuses spoils its batch: then each is asked for alone. */
async function vectorsOf(provider: EmbeddingProvider, rows: readonly Pending[], signal: AbortSignal): Promise<Result> {
  try {
    const vectors = await provider.embed(
      rows.map(({ text }) => text),
      signal,
    )
    return {
      made: rows.flatMap((row, index) => (vectors[index] ? [{ row, vector: vectors[index] }] : [])),
      refused: [],
    }
  } catch (error) {
    if (!(error instanceof EmbeddingError) || !error.isOfText) throw error
    const [only, ...others] = rows
    if (only && others.length === 0) return { made: [], refused: [{ id: only.id, reason: error.message }] }
    const made: Made[] = []
    const refused: Result['refused'][number][] = []
    for (const row of rows) {
      const one = await vectorsOf(provider, [row], signal)
      made.push(...one.made)
      refused.push(...one.refused)
    }
    return { made, refused }
  }
}

async function store(pool: pg.Pool, table: string, model: string, made: readonly Made[]): Promise<number> {
  if (made.length === 0) return 0
  const { rowCount } = await pool.query(
    `update ${table} t set embedding = m.vector::vector, embedding_model = $4, embedding_status = 'ready'
     from unnest($1::uuid[], $2::text[], $3::text[]) as m(id, state, vector) where t.id = m.id and ${stateOf} = m.state`,
    [
      made.map(({ row }) => row.id),
      made.map(({ row }) => row.state),
      made.map(({ vector }) => `[${vector.join()}]`),
      model,
    ],
  )
  return rowCount ?? 0
}

/** Rows of one statement when the service changes. */
const settleRows = 1000

/**
 * Notes in `system_settings` who makes embeddings. Without anybody rows wait for none (`skipped`); when somebody comes,
 * those that have none wait again; with another model those of the former one are made anew, since vectors of two
 * models cannot be compared.
 */
export async function settleEmbedding(options: {
  readonly pool: pg.Pool
  readonly catalog: Catalog
  readonly provider: string
  readonly model: string | undefined
  readonly log: Log
  readonly signal: AbortSignal
}): Promise<void> {
  const { pool, provider, model, log, signal } = options
  const { rows } = await pool.query<{ key: string; value: unknown }>(
    `select key, value from system_settings where key = any($1)`,
    [['embedding.provider', 'embedding.made_with']],
  )
  const stored = new Map(rows.map(({ key, value }) => [key, value]))
  const isMade = provider !== 'none'
  const former = stored.get('embedding.made_with')
  const values = { 'embedding.provider': provider, ...(isMade ? { 'embedding.made_with': model ?? '' } : {}) }
  for (const [key, value] of Object.entries(values))
    if (stored.get(key) !== value)
      await pool.query(
        `insert into system_settings (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value`,
        [key, JSON.stringify(value)],
      )
  // Rows that were waiting when nobody was noted yet.
  const turn = isMade ? ['skipped', 'pending', 'and embedding is null'] : ['pending', 'skipped', '']
  const [from = '', to = '', condition = ''] = turn
  let rowsTurned = 0
  if (stored.get('embedding.provider') !== provider || !isMade)
    rowsTurned = await turnRows(options, `embedding_status = $1 ${condition}`, [from, to])
  if (isMade && typeof former === 'string' && former !== model)
    rowsTurned += await turnRows(options, `embedding_status = $1 and embedding_model = $3`, [
      'ready',
      'pending',
      former,
    ])
  if (rowsTurned > 0 && !signal.aborted)
    log.info('Embeddings are made otherwise from now on', { provider, model: model ?? null, rows: rowsTurned })
}

async function turnRows(
  { pool, catalog, signal }: { readonly pool: pg.Pool; readonly catalog: Catalog; readonly signal: AbortSignal },
  condition: string,
  [from, to, ...more]: readonly [string, string, ...string[]],
): Promise<number> {
  let turned = 0
  for (const table of embeddedTables(catalog)) {
    for (let count = settleRows; count === settleRows && !signal.aborted; turned += count) {
      const { rowCount } = await pool.query(
        `update ${table} set embedding_status = $2 where id in (
           select id from ${table} where ${condition} order by id limit ${settleRows} for update skip locked)`,
        [from, to, ...more],
      )
      count = rowCount ?? 0
    }
  }
  return turned
}
