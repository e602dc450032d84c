import { literalColumns, searchCandidates, searchWeights } from '../../protocol/rows/search-rank.ts'
import type { SyncedTable } from '../catalog/catalog.ts'
import type { Access } from '../scope/access.ts'
import type { Homes } from '../scope/homes.ts'
import type { Principal } from '../scope/principal.ts'
import { vectorText } from './nearest.ts'
import { recencySql } from './recency.ts'

/** What to rank by. */
export type Ask =
  | { readonly kind: 'vector'; readonly column: string; readonly vector: readonly number[]; readonly text?: string }
  | { readonly kind: 'text'; readonly text: string }

export interface SearchSqlInput {
  readonly homes: Homes
  readonly table: SyncedTable
  /** Values of the statement; those of `filter` are in it already. */
  readonly params: unknown[]
  readonly principal: Principal
  readonly access: Access
  readonly ask: Ask
  /** Condition over alias `t`. */
  readonly filter: string
  /** The filter says itself which states it wants. */
  readonly namesStatus: boolean
  /** Select list over alias `t`. */
  readonly columns: string
  readonly limit: number
}

/** The columns before those of the row. */
export const partNames = ['vector', 'text', 'importance', 'recency'] as const

/** Which rows may be found at all, over alias `t`: those of the principal's channels that are live and pass the filter. */
export function foundSql(input: Omit<SearchSqlInput, 'ask' | 'columns' | 'limit'>): string {
  const bind = (value: unknown): string => `$${input.params.push(value)}`
  return allOf([visible(input, bind), input.filter, ...liveness(input.table, input.namesStatus)])
}

/**
 * One statement: score, its parts (`partNames`, null where it has none), then the row. `found` is `foundSql` of the same
 * input, `nearest` the ids of the nearest such rows where there is a vector. With a vector and words, rows that are near and
 * rows that have the words are ranked together, so that one without an embedding is found by its words. Words are looked
 * for in the full-text index where the table has one, and `literally` as parts of words too, which reads every row.
 */
export function rankSql(
  input: Pick<SearchSqlInput, 'table' | 'ask' | 'params' | 'columns' | 'limit'>,
  found: string,
  nearest: readonly string[],
  { literally = false }: { readonly literally?: boolean } = {},
): string {
  const { table, ask, params, columns, limit } = input
  const bind = (value: unknown): string => `$${params.push(value)}`
  const text = ask.text === undefined ? undefined : textRank(table, ask.text, bind, literally)
  const vector = ask.kind === 'vector' ? vectorRank(ask, bind) : undefined
  const parts = { vector: vector?.score, text: text?.score, ...(vector && text ? worth(table) : {}) }
  const selected = partNames.map((name) => `${parts[name] ?? 'null'} as ${name}`).join(', ')
  const from = `from "${table.name}" t where`
  if (!vector) {
    const { score, condition } = text ?? { score: '0', condition: 'false' }
    return `select ${score} as score, ${selected}, ${columns}
      ${from} ${allOf([found, condition])} order by score desc, t.id limit ${limit}`
  }
  const isNear = `t.id = any (${bind(nearest)}::uuid[]) and ${vector.score} is not null`
  const hasWords =
    text &&
    `t.id in (select t.id ${from} ${allOf([found, text.condition])} order by ${text.score} desc limit ${searchCandidates(limit)})`
  const score = text ? weighed(parts) : vector.score
  // What was near a moment ago may have gone since.
  return `select ${score} as score, ${selected}, ${columns}
    ${from} ${allOf([found, hasWords ? `${isNear} or ${hasWords}` : isNear])} order by score desc, t.id limit ${limit}`
}

function weighed(parts: Readonly<Partial<Record<(typeof partNames)[number], string | undefined>>>): string {
  return partNames
    .flatMap((name) =>
      parts[name] === undefined ? [] : [`${searchWeights[name]} * least(coalesce(${parts[name]}, 0), 1)`],
    )
    .join(' + ')
}

function allOf(conditions: readonly string[]): string {
  return conditions.map((condition) => `(${condition})`).join(' and ')
}

/** What a row is worth whatever is asked for, where its table has such columns. */
function worth({ descriptor: { columns } }: SyncedTable): { readonly importance?: string; readonly recency?: string } {
  if (!columns['importance'] || !columns['decayRate']) return {}
  return { importance: 't.importance', recency: recencySql(true) }
}

type Bind = (value: unknown) => string

/** A channel that the principal may follow carries the row, as its home or for a guest, and it is not deleted. */
function visible(
  { homes, table, principal, access }: Pick<SearchSqlInput, 'homes' | 'table' | 'principal' | 'access'>,
  bind: Bind,
): string {
  const carried = homes.carriedByAny(table, 't', {
    channels: access.channels.keys(),
    organizationId: principal.organizationId,
    bind,
  })
  return table.softDelete ? `${carried} and t.deleted_at is null` : carried
}

/** What has expired or been superseded is not found unless the caller asks for such a state. */
function liveness({ descriptor }: SyncedTable, namesStatus: boolean): readonly string[] {
  const { columns } = descriptor
  return [
    ...(columns['expiresAt'] ? ['t.expires_at is null or t.expires_at > now()'] : []),
    ...(columns['status']?.values?.includes('superseded') && !namesStatus ? [`t.status = 'active'`] : []),
    ...(columns['isCurrent'] ? ['t.is_current'] : []),
  ]
}

function vectorRank({ column, vector }: Extract<Ask, { kind: 'vector' }>, bind: Bind): { readonly score: string } {
  // A vector of length 0 has no direction: its distance is NaN.
  return { score: `nullif(1 - (t."${column}" <=> ${bind(vectorText(vector))}::vector), 'NaN')` }
}

export function hasFullText(table: SyncedTable): boolean {
  return table.sqlColumns.some(({ name }) => name === 'search_vector')
}

/**
 * Any of the words may match, the more the better: people ask in sentences. Names and codes that stemming would break
 * are found by ILIKE.
 */
function textRank(
  table: SyncedTable,
  text: string,
  bind: Bind,
  literally: boolean,
): { readonly score: string; readonly condition: string } {
  const phrase = bind(`%${text.trim().replace(/[\\%_]/g, String.raw`\$&`)}%`)
  const literal = literalColumns
    .filter((property) => table.descriptor.columns[property]?.type === 'text')
    .map((property) => `t."${property}" ilike ${phrase}`)
  const hasVector = hasFullText(table)
  const query = hasVector ? `replace(plainto_tsquery('english', ${bind(text)})::text, '&', '|')::tsquery` : ''
  const matches = [...(literally || !hasVector ? literal : []), ...(hasVector ? [`t.search_vector @@ ${query}`] : [])]
  const isLiteral = literal.length === 0 ? '0' : `(case when ${literal.join(' or ')} then 0.5 else 0 end)`
  return {
    score: hasVector ? `(ts_rank(t.search_vector, ${query}, 32) + ${isLiteral})` : isLiteral,
    condition: matches.length === 0 ? 'false' : matches.join(' or '),
  }
}
