import { searchParts, type SearchPart } from '../../protocol/rows/search-rank.ts'
import type { Bind, Near, Words } from './candidates.ts'

type Weights = Readonly<Record<SearchPart, number>>

/** What a search ranks, and by what. All SQL is over alias `t`. */
export interface Ranking {
  /** As SQL writes it. */
  readonly table: string
  readonly near?: Near | undefined
  /** Words, and the condition of the rows that may be found by them. */
  readonly words?: (Words & { readonly findable: string }) | undefined
  /** What a row is worth whatever is asked for. */
  readonly worth?: Readonly<Partial<Record<'importance' | 'recency', string>>>
  /** Rows that are looked at by vector, and by words, before the parts are weighed. */
  readonly candidates: number
  readonly limit: number
  /** Absent: the score is the one part that there is. */
  readonly weights?: Weights | undefined
  /** Select list of what is read of the rows that are found. */
  readonly columns: string
}

/** What a ranked row begins with. Parts are null where there is nothing to compare. */
export const rankColumns = ['$score', ...searchParts.map((name) => `$${name}` as const), '$near'] as const

/**
 * One statement: `rankColumns`, then the columns of each row, best first, equal ones by id. With a vector and words,
 * rows that are near and rows that have the words are ranked together, so that one without an embedding is found by its
 * words. Candidates, ranks and rows come from one snapshot, and every vector is read once. `$near` is how many rows
 * `near` had.
 */
export function rankSql(ranking: Ranking, bind: Bind): string {
  const { table, near, words, worth, candidates, limit, weights, columns } = ranking
  const parts: Readonly<Partial<Record<SearchPart, string>>> = {
    // A vector of length 0 has no direction: its distance is NaN.
    ...(near && { vector: `nullif(1 - coalesce(candidates.distance, ${near.distance}), 'NaN')` }),
    ...(words && { text: words.rank }),
    ...worth,
  }
  const score = weights ? weighed(parts, weights, bind) : (parts.vector ?? parts.text ?? '0')
  const number = (sql: string, name: string): string => `(${sql})::float8 as "${name}"`
  const selected = [
    number(score, '$score'),
    ...searchParts.map((name) => number(parts[name] ?? 'null', `$${name}`)),
    `${near ? '(select count(*) from near)::int' : '0'} as "$near"`,
  ]
  return `with ${sources(table, near, words, candidates)}
    select ${selected.join(', ')}, ${columns}
    from candidates join ${table} t using (id) order by "$score" desc, t.id limit ${limit}`
}

/** Common tables, the last of which is `candidates` with `id` and, where it was near, `distance`. */
function sources(table: string, near: Near | undefined, words: Ranking['words'], candidates: number): string {
  const nearest = `select id, distance from near where distance <> 'NaN' order by distance, id limit ${candidates}`
  const worded =
    words &&
    `select t.id, null::float8 as distance from ${table} t where ${words.findable} and (${words.condition})
      order by ${words.rank} desc, t.id limit ${candidates}`
  if (!near) return `candidates as (${worded})`
  const compared = `near as materialized (${near.text})`
  if (!worded) return `${compared}, candidates as (${nearest})`
  return `${compared}, nearest as (${nearest}), worded as (${worded}),
    candidates as (select id, nearest.distance from nearest full join worded using (id))`
}

function weighed(parts: Readonly<Partial<Record<SearchPart, string>>>, weights: Weights, bind: Bind): string {
  return searchParts
    .flatMap((name) =>
      parts[name] === undefined
        ? []
        : [`${bind(weights[name])}::float8 * least(coalesce(${parts[name]}, 0)::float8, 1)`],
    )
    .join(' + ')
}

/**
 * How recent a row is, 1 falling towards 0, in SQL over alias `t`. A table with a `decay_rate` fades by it for each day
 * since the row was last of use; another halves in a month since its last change. The exponent is bounded, because
 * PostgreSQL answers an underflow with an error.
 */
export function recencySql(decays: boolean): string {
  const [rate, since] = decays
    ? ['t.decay_rate', 'greatest(t.last_accessed_at, t.last_reinforced_at, t.created_at)']
    : ['0.0231', 't.updated_at']
  return `exp(greatest(-${rate} * extract(epoch from now() - ${since})::double precision / 86400, -700))`
}
