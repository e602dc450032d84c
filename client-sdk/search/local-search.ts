import type { Filter } from '../../protocol/rows/filter.ts'
import { rowId, type Row, type Value } from '../../protocol/rows/row.ts'
import {
  fullTextCharacters,
  fullTextColumns,
  hasWorth,
  literalColumns,
  searchCandidates,
  searchScore,
  textColumns,
  type SearchPart,
} from '../../protocol/rows/search-rank.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { lexemesOf, startOf } from './lexemes.ts'

/** What a search asks for, checked. */
export interface LocalAsk {
  /** Property of the vector column. */
  readonly column: string
  readonly vector?: Float32Array
  readonly text?: string
  readonly where: Filter
  readonly limit: number
  /** Milliseconds since 1970. */
  readonly now: number
}

/** What it needs of the replica. */
export interface LocalRows {
  nearest(
    table: string,
    request: { column: string; vector: Float32Array; where?: Filter; limit: number },
  ): Promise<readonly { readonly row: Row; readonly score: number }[]>
  /** The first rows in order of their ids. */
  find(table: string, where: Filter, limit: number): Promise<readonly Row[]>
}

/** Rows read at a time. */
const pageSize = 1000

interface Hit {
  readonly row: Row
  readonly score: number
  readonly parts: Parts
}

type Parts = Readonly<Partial<Record<SearchPart, number>>>

/**
 * Searches what a replica holds, best first. By vector exactly as the server does without its index. Words are found by
 * their stems, as on the server, which ranks them by how often they occur.
 */
export async function localSearch(table: TableDescriptor, ask: LocalAsk, rows: LocalRows): Promise<readonly Hit[]> {
  const { column, vector, text, where, limit, now } = ask
  const near = (filter: Filter, many: number) =>
    vector === undefined ? [] : rows.nearest(table.name, { column, vector, where: filter, limit: many })
  if (text === undefined)
    return (await near(where, limit)).map(({ row, score }) => ({ row, score, parts: { vector: score } }))
  const { byWords, asItStands } = await textHits(table, ask, text, rows)
  if (vector === undefined) return best(byWords.length >= limit ? byWords : [...byWords, ...asItStands], limit)

  const words = new Map([...byWords, ...asItStands].map((hit) => [rowId(hit.row), hit]))
  const ids = byWords.map(({ row }) => rowId(row))
  const found = [
    ...(await near(where, searchCandidates(limit))),
    ...(ids.length === 0 ? [] : await near({ and: [where, { id: { in: ids } }] }, ids.length)),
  ]
  const cosines = new Map(found.map(({ row, score }) => [rowId(row), score]))
  const all = new Map([...found, ...byWords].map(({ row }) => [rowId(row), row]))
  const hits = [...all].map(([id, row]): Hit => {
    const parts = {
      ...part('vector', cosines.get(id)),
      ...part('text', words.get(id)?.score),
      ...worth(table, row, now),
    }
    return { row, score: searchScore(parts), parts }
  })
  return best(hits, limit)
}

/**
 * The best rows that have any of the words, the more the better; and beside them those that only have the text as it
 * stands, which is how names and codes are found that stemming would break. As on the server the latter count where the
 * former are too few, and a row that is near is worth more by them.
 */
async function textHits(
  table: TableDescriptor,
  { where, limit }: LocalAsk,
  text: string,
  rows: LocalRows,
): Promise<{ readonly byWords: readonly Hit[]; readonly asItStands: readonly Hit[] }> {
  const { columns } = table
  const [indexed, literal] = [textColumns(columns, fullTextColumns), textColumns(columns, literalColumns)]
  const phrase = text.toLowerCase()
  const wanted = [...lexemesOf(text)]
  const any = [
    ...wanted.flatMap((lexeme) => indexed.map((name): Filter => ({ [name]: contains(startOf(lexeme)) }))),
    ...literal.map((name): Filter => ({ [name]: contains(phrase) })),
  ]
  if (any.length === 0) return { byWords: [], asItStands: [] }
  let byWords: readonly Hit[] = []
  let asItStands: readonly Hit[] = []
  const most = searchCandidates(limit)
  for (let after: Filter = {}; ;) {
    const page = await rows.find(table.name, { and: [where, { or: any }, after] }, pageSize)
    const hits = page.map((row) => scored(row))
    byWords = best([...byWords, ...hits.filter(({ share }) => share > 0).map(({ hit }) => hit)], most)
    asItStands = best(
      [...asItStands, ...hits.filter(({ share, hit }) => share === 0 && hit.score > 0).map(({ hit }) => hit)],
      most,
    )
    const last = page.at(-1)
    if (page.length < pageSize || last === undefined) break
    after = { id: { gt: rowId(last) } }
  }
  return { byWords, asItStands }

  function scored(row: Row): { readonly share: number; readonly hit: Hit } {
    const has = new Set(indexed.flatMap((name) => [...lexemesOf(String(row[name] ?? '').slice(0, fullTextCharacters))]))
    const share = wanted.length === 0 ? 0 : wanted.filter((lexeme) => has.has(lexeme)).length / wanted.length
    const isLiteral = literal.some((name) =>
      String(row[name] ?? '')
        .toLowerCase()
        .includes(phrase),
    )
    const score = 0.5 * share + (isLiteral ? 0.5 : 0)
    return { share, hit: { row, score, parts: { text: score } } }
  }
}

function contains(text: string): Filter {
  return { ilike: `%${escapeLike(text)}%` }
}

/** What a row is worth whatever is asked for, where its table has such columns. */
function worth(table: TableDescriptor, row: Row, now: number): Parts {
  if (!hasWorth(table.columns)) return {}
  const touched = ['lastAccessedAt', 'lastReinforcedAt', 'createdAt'].map((name) => timeOf(row[name]))
  const days = (now - Math.max(...touched)) / 86_400_000
  return { importance: Number(row['importance'] ?? 0), recency: Math.exp(-Number(row['decayRate'] ?? 0) * days) }
}

function timeOf(value: Value | undefined): number {
  return typeof value === 'string' ? Date.parse(value) : -Infinity
}

function part(name: SearchPart, value: number | undefined): Parts {
  return value === undefined ? {} : { [name]: value }
}

/** Rows of equal score are ordered by id, as on the server. */
function best(hits: readonly Hit[], limit: number): readonly Hit[] {
  return hits.toSorted((a, b) => b.score - a.score || (rowId(a.row) < rowId(b.row) ? -1 : 1)).slice(0, limit)
}

function escapeLike(word: string): string {
  return word.replace(/[\\%_]/g, (special) => `\\${special}`)
}
