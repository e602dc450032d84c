/**
 * Which rows of a table a search looks at, in SQL over alias `t`: those that are live, the nearest of them, and those
 * that have the words. Clients' searches and those of units are made of the same conditions; `rank.ts` orders what is
 * found.
 */
import {
  fullTextCharacters,
  fullTextColumns,
  literalColumns,
  livenessOf,
  textColumns,
} from '../../protocol/rows/search-rank.ts'
import type { CatalogTable, SyncedTable } from '../catalog/catalog.ts'

/** Makes a parameter of a value. */
export type Bind = (value: unknown) => string

/** Rows that may be found at all. */
export interface Findable {
  /** As SQL writes it. */
  readonly table: string
  /** Condition over alias `t`. */
  readonly condition: string
  /** Its parameters, from `$1` on. */
  readonly values: readonly unknown[]
}

export interface Nearest extends Findable {
  /** Column with the vectors, as SQL writes it. */
  readonly column: string
  readonly vector: ArrayLike<number>
  readonly limit: number
}

/** A select of `id` and `distance` of rows, in any order. */
export interface Near {
  readonly text: string
  /** Parameters, from `$1` on: those of the condition, then the vector. */
  readonly values: readonly unknown[]
  /** The distance of a row of alias `t` that may not be among them. */
  readonly distance: string
}

/** Whether a row has the words, and how well it does, 0 to 1 or a little more. */
export interface Words {
  readonly condition: string
  readonly rank: string
}

/** Vectors of more dimensions are indexed in half precision (`server/db/prepare.ts`). */
const longestIndexed = 2000

export function allOf(conditions: readonly string[]): string {
  return conditions.map((condition) => `(${condition})`).join(' and ')
}

/**
 * A row is not deleted, has not expired and was not superseded. `anyStatus`: whoever asks says which states it wants.
 */
export function liveSql({ descriptor, softDelete }: CatalogTable, { anyStatus = false } = {}): readonly string[] {
  const { expires, isSuperseded, isVersioned } = livenessOf(descriptor?.columns ?? {})
  return [
    ...(softDelete ? ['t.deleted_at is null'] : []),
    ...(isSuperseded && !anyStatus ? [`t.status = 'active'`] : []),
    ...(isVersioned ? ['t.is_current'] : []),
    ...(expires ? ['t.expires_at is null or t.expires_at > now()'] : []),
  ]
}

/** All rows, or one more than `atMost`. */
export function compared(asked: Nearest, atMost?: number): Near {
  return nearSql(asked, () => (atMost === undefined ? '' : `limit ${atMost + 1}`))
}

/** The `limit` nearest that the HNSW index answers. */
export function byGraph(asked: Nearest): Near {
  const { column, vector, limit } = asked
  const type = vector.length > longestIndexed ? `halfvec(${vector.length})` : 'vector'
  // As the index has the column.
  const indexed = vector.length > longestIndexed ? `(t.${column}::${type})` : `t.${column}`
  return nearSql(asked, (bound) => `order by ${indexed} <=> ${bound}::${type} limit ${limit}`)
}

function nearSql({ table, column, condition, values, vector }: Nearest, end: (bound: string) => string): Near {
  const bound = `$${values.length + 1}`
  const distance = `t.${column} <=> ${bound}::vector`
  return {
    text: `select t.id, ${distance} as distance from ${table} t where ${condition} and t.${column} is not null ${end(bound)}`,
    values: [...values, `[${Array.from(vector).join()}]`],
    distance,
  }
}

/** The indexed words of a table, or those of its texts where no index is; undefined: it has no text. */
export function wordsOf({ sqlColumns, descriptor: { columns } }: SyncedTable): string | undefined {
  if (sqlColumns.some(({ name }) => name === 'search_vector')) return 't.search_vector'
  const texts = textColumns(columns, fullTextColumns).map((property) => `t."${columns[property]?.name}"`)
  if (texts.length === 0) return undefined
  return `to_tsvector('english'::regconfig, left(concat_ws(' ', ${texts.join(', ')}), ${fullTextCharacters}))`
}

/**
 * What clients look for: any of the words may match, the more the better, since people ask in sentences. Names and
 * codes that stemming would break are found by ILIKE, where `literally` says so or the table has no words; that reads
 * every row.
 */
export function wordsOrPhrase(table: SyncedTable, text: string, bind: Bind, literally: boolean): Words {
  const phrase = bind(`%${text.trim().replace(/[\\%_]/g, String.raw`\$&`)}%`)
  const { columns } = table.descriptor
  const literal = textColumns(columns, literalColumns).map(
    (property) => `t."${columns[property]?.name}" ilike ${phrase}`,
  )
  const isLiteral = literal.length === 0 ? '0' : `(case when ${literal.join(' or ')} then 0.5 else 0 end)`
  const indexed = wordsOf(table)
  if (indexed === undefined)
    return { condition: literal.length === 0 ? 'false' : literal.join(' or '), rank: isLiteral }
  const { condition, rank } = anyWord(indexed, bind(text))
  return { condition: [...(literally ? literal : []), condition].join(' or '), rank: `(${rank} + ${isLiteral})` }
}

/**
 * What units look for: any of the words, or what looks like a name (trigrams). `vector` and `name` are SQL over alias
 * `t`; an index serves them when they are what it is over.
 */
export function wordsOrName(vector: string, name?: string): (text: string) => Words {
  return (text) => {
    const { condition, rank } = anyWord(vector, text)
    if (name === undefined) return { condition, rank }
    return {
      condition: `(${condition} or ${name} % ${text})`,
      rank: `greatest(${rank}, coalesce(similarity(${name}, ${text}), 0))`,
    }
  }
}

function anyWord(vector: string, text: string): Words {
  const query = `(select replace(plainto_tsquery('english', ${text})::text, '&', '|')::tsquery)`
  return { condition: `${vector} @@ ${query}`, rank: `ts_rank(${vector}, ${query}, 32)` }
}
