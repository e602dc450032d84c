import type { SyncedTable } from '../catalog/catalog.ts'
import type { Access } from '../scope/access.ts'
import type { Homes } from '../scope/homes.ts'
import type { Principal } from '../scope/principal.ts'

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

/**
 * One statement: score, its parts (vector, text), then the row. Rows outside the principal's channels are excluded in
 * the statement itself, before the limit.
 */
export function searchSql(input: SearchSqlInput): string {
  const { table, ask, params, filter, columns, limit } = input
  const bind = (value: unknown): string => `$${params.push(value)}`
  const text = ask.text === undefined ? undefined : textRank(table, ask.text, bind)
  const vector = ask.kind === 'vector' ? vectorRank(ask, bind) : undefined
  const conditions = [
    visible(input, bind),
    filter,
    ...liveness(table, input.namesStatus),
    vector?.condition,
    vector ? undefined : text?.condition,
  ]
  const score = vector?.score ?? text?.score ?? '0'
  return `select ${score} as score, ${vector?.score ?? 'null'} as vector, ${text?.score ?? 'null'} as text, ${columns}
    from "${table.name}" t where ${conditions
      .filter((condition) => condition !== undefined)
      .map((condition) => `(${condition})`)
      .join(' and ')}
    order by ${vector?.order ?? `${score} desc`}, t.id limit ${limit}`
}

type Bind = (value: unknown) => string

/** A channel that the principal may follow carries the row, as its home or for a guest, and it is not deleted. */
function visible({ homes, table, principal, access }: SearchSqlInput, bind: Bind): string {
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

function vectorRank(
  { column, vector }: Extract<Ask, { kind: 'vector' }>,
  bind: Bind,
): { readonly score: string; readonly order: string; readonly condition: string } {
  const distance = `t."${column}" <=> ${bind(JSON.stringify(vector))}::vector`
  return { score: `1 - (${distance})`, order: distance, condition: `t."${column}" is not null` }
}

/**
 * Any of the words may match, the more the better: people ask in sentences. Names and codes that stemming would break
 * are found by ILIKE.
 */
function textRank(
  table: SyncedTable,
  text: string,
  bind: Bind,
): { readonly score: string; readonly condition: string } {
  const phrase = bind(`%${text.trim().replace(/[\\%_]/g, String.raw`\$&`)}%`)
  const literal = ['title', 'name', 'content', 'summary']
    .filter((property) => table.descriptor.columns[property]?.type === 'text')
    .map((property) => `t."${property}" ilike ${phrase}`)
  const hasVector = table.sqlColumns.some(({ name }) => name === 'search_vector')
  const query = hasVector ? `replace(plainto_tsquery('english', ${bind(text)})::text, '&', '|')::tsquery` : ''
  const matches = [...literal, ...(hasVector ? [`t.search_vector @@ ${query}`] : [])]
  const isLiteral = literal.length === 0 ? '0' : `(case when ${literal.join(' or ')} then 0.5 else 0 end)`
  return {
    score: hasVector ? `(ts_rank(t.search_vector, ${query}, 32) + ${isLiteral})` : isLiteral,
    condition: matches.length === 0 ? 'false' : matches.join(' or '),
  }
}
