import { TideError } from '../../protocol/error.ts'
import { askNearest, type Asked, type Near } from '../search/nearest.ts'
import { recencySql } from '../search/recency.ts'
import type { SqlQuery } from '../scope/sql-query.ts'

/** How much each part counts; they need not sum to 1. */
export interface Weights {
  readonly similarity: number
  readonly text: number
  readonly importance: number
  readonly recency: number
}

export interface SearchOptions {
  /** Nearest by cosine distance; of the dimension of the database. */
  readonly embedding?: ArrayLike<number>
  /** Words, any of which may match. */
  readonly text?: string
  /** Hits, 1 to 200. Default 10. */
  readonly limit?: number
  readonly weights?: Partial<Weights>
  /** At least this confident, 0 to 1. */
  readonly minConfidence?: number
}

/** A found row by id, with its score and what it is made of, each 0 to 1. */
export interface Ranked {
  readonly id: string
  readonly score: number
  readonly similarity: number
  readonly text: number
}

/** What differs between the tables that are searched. SQL over alias `t`. */
export interface Searched {
  readonly table: string
  /** Rows that may be found at all; the condition of the HNSW index is part of it. */
  readonly live: string
  readonly importance: string
  readonly confidence: string
  /** Rows fade by a rate of their own, from when they were last of use. */
  readonly decays?: boolean
  /** Whether a row has the words that are bound as `words`, and how well, 0 to 1. */
  readonly text: (words: string) => { readonly condition: string; readonly rank: string }
}

/**
 * Words by full text, any of which may match, and by what looks like a name (trigrams), where there is one. `vector` and
 * `name` are SQL over alias `t`; an index serves them when they are what it is over.
 */
export function fullText(vector: string, name?: string): Searched['text'] {
  return (words) => {
    const query = `(select replace(plainto_tsquery('english', ${words})::text, '&', '|')::tsquery)`
    const [matches, rank] = [`${vector} @@ ${query}`, `ts_rank(${vector}, ${query}, 32)`]
    if (name === undefined) return { condition: matches, rank }
    return {
      condition: `(${matches} or ${name} % ${words})`,
      rank: `greatest(${rank}, coalesce(similarity(${name}, ${words}), 0))`,
    }
  }
}

const defaults: Weights = { similarity: 0.55, text: 0.2, importance: 0.15, recency: 0.1 }

/** So many times the limit are looked at by vector, and by words, before the parts are weighed. */
const candidatesPerHit = 4

/**
 * The best rows by vector, words, importance and age together. Candidates are the nearest and those that have the words;
 * `filter` is a condition over `t` with parameters from `$1` on, and holds within both searches, so that it never starves
 * the result. Runs inside a transaction. `exactRows` as `Nearest` has it.
 */
export async function hybridSearch(
  query: SqlQuery,
  { table, live, importance, confidence, decays = false, text: textOf }: Searched,
  filter: { readonly text: string; readonly parameters: readonly unknown[] },
  options: SearchOptions,
  exactRows?: number,
): Promise<readonly Ranked[]> {
  const { limit = 10, embedding, text: words = '', minConfidence = 0 } = options
  const hasWords = words.trim() !== ''
  if (!Number.isInteger(limit) || limit < 1 || limit > 200)
    throw new TideError('invalid_value', `A search for ${limit} rows was asked for; it may find 1 to 200.`)
  if (embedding === undefined && !hasWords)
    throw new TideError('invalid_value', `A search of ${table} has neither text nor embedding.`, {
      remedy: 'Give one of them.',
    })
  const values = [...filter.parameters, minConfidence]
  const condition = [
    live,
    `${confidence} >= $${values.length}`,
    ...(filter.text === '' ? [] : [`(${filter.text})`]),
  ].join(' and ')
  const ranking: Ranking = {
    ...{ table, condition, values, importance, decays, limit },
    weights: { ...defaults, ...options.weights },
    words: hasWords ? { words, of: textOf } : undefined,
  }
  if (embedding === undefined) return (await rank(query, ranking)).answer
  const nearest = { table, column: 'embedding', condition, values, vector: embedding, exactRows }
  return askNearest(query, { ...nearest, limit: limit * candidatesPerHit }, (near) => rank(query, ranking, near))
}

interface Ranking {
  readonly table: string
  /** Over alias `t`, with the parameters from `$1` on. */
  readonly condition: string
  readonly values: readonly unknown[]
  readonly importance: string
  readonly decays: boolean
  readonly limit: number
  readonly weights: Weights
  readonly words: { readonly words: string; readonly of: Searched['text'] } | undefined
}

/** Candidates and their ranks in one statement, so that vectors are read and compared once. */
async function rank(
  query: SqlQuery,
  { table, condition, importance, decays, limit, weights, words, ...given }: Ranking,
  near?: Near,
): Promise<Asked<readonly Ranked[]>> {
  const values = [...(near ?? given).values]
  const bind = (value: unknown): string => `$${values.push(value)}`
  const candidates = limit * candidatesPerHit
  // Behind the parameters of the condition.
  const vector = `$${given.values.length + 1}::vector`
  const text = words?.of(bind(words.words))
  const sources = [
    ...(near ? [`(select id from near order by distance, id limit ${candidates})`] : []),
    ...(text
      ? [
          `(select t.id from ${table} t where ${condition} and ${text.condition} order by ${text.rank} desc limit ${candidates})`,
        ]
      : []),
  ]
  const similarity = near ? `coalesce(1 - coalesce(near.distance, t.embedding <=> ${vector}), 0)` : '0'
  const score = [
    `${bind(weights.similarity)}::float8 * similarity`,
    `${bind(weights.text)}::float8 * text`,
    `${bind(weights.importance)}::float8 * importance`,
    `${bind(weights.recency)}::float8 * recency`,
  ].join(' + ')
  const rows = await query<Ranked & { readonly near: number }>({
    text: `with ${near ? `near as materialized (${near.text}),` : ''} candidates as (${sources.join(' union ')}),
      parts as (
        select t.id, (${similarity})::float8 as similarity, (${text?.rank ?? '0'})::float8 as text, (${importance})::float8 as importance, ${recencySql(decays)} as recency
        from candidates join ${table} t using (id) ${near ? 'left join near using (id)' : ''} where ${condition}
      )
      select id, (${score})::float8 as score, similarity, text, ${near ? '(select count(*) from near)::int' : '0'} as near
      from parts order by score desc, id limit ${limit}`,
    values,
  })
  const answer = rows.map((row) => ({ id: row.id, score: row.score, similarity: row.similarity, text: row.text }))
  return { answer, near: rows[0]?.near ?? 0 }
}
