import type { Filter } from '../../protocol/rows/filter.ts'
import { rowId, type Row, type Value } from '../../protocol/rows/row.ts'
import { literalColumns, searchCandidates, searchWeights } from '../../protocol/rows/search-rank.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'

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
  readonly parts: Readonly<Record<string, number>>
}

/**
 * Searches what a replica holds, best first. By vector exactly as the server does without its index. Words are found as
 * they stand, anywhere in a text: the server also knows their stems, and ranks them by how often they occur.
 */
export async function localSearch(table: TableDescriptor, ask: LocalAsk, rows: LocalRows): Promise<readonly Hit[]> {
  const { column, vector, text, where, limit, now } = ask
  const near = (filter: Filter, many: number) =>
    vector === undefined ? [] : rows.nearest(table.name, { column, vector, where: filter, limit: many })
  if (text === undefined)
    return (await near(where, limit)).map(({ row, score }) => ({ row, score, parts: { vector: score } }))
  const byWords = await textHits(table, ask, text, rows)
  if (vector === undefined) return byWords.slice(0, limit)

  const words = new Map(byWords.map((hit) => [rowId(hit.row), hit]))
  const ids = [...words.keys()]
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
    const score = Object.entries(searchWeights).reduce(
      (sum, [name, weight]) => sum + weight * Math.min((parts as Record<string, number>)[name] ?? 0, 1),
      0,
    )
    return { row, score, parts }
  })
  return best(hits, limit)
}

async function textHits(
  table: TableDescriptor,
  { where, limit }: LocalAsk,
  text: string,
  rows: LocalRows,
): Promise<readonly Hit[]> {
  const phrase = text.toLowerCase()
  const words = [...new Set(phrase.match(/[\p{L}\p{N}]+/gu) ?? [])]
  const columns = literalColumns.filter((name) => table.columns[name]?.type === 'text')
  const wanted = words.length === 0 ? [phrase] : words
  const any = wanted.flatMap((word) => columns.map((name): Filter => ({ [name]: { ilike: `%${escapeLike(word)}%` } })))
  if (any.length === 0) return []
  let hits: readonly Hit[] = []
  for (let after: Filter = {}; ;) {
    const page = await rows.find(table.name, { and: [where, { or: any }, after] }, pageSize)
    hits = best([...hits, ...page.map((row) => scored(row))], searchCandidates(limit))
    const last = page.at(-1)
    if (page.length < pageSize || last === undefined) return hits
    after = { id: { gt: rowId(last) } }
  }

  function scored(row: Row): Hit {
    const texts = columns.map((name) => String(row[name] ?? '').toLowerCase())
    const share = wanted.filter((word) => texts.some((content) => content.includes(word))).length / wanted.length
    const score = 0.5 * share + (texts.some((content) => content.includes(phrase)) ? 0.5 : 0)
    return { row, score, parts: { text: score } }
  }
}

/** What a row is worth whatever is asked for, where its table has such columns. */
function worth(table: TableDescriptor, row: Row, now: number): Readonly<Record<string, number>> {
  if (table.columns['importance'] === undefined || table.columns['decayRate'] === undefined) return {}
  const touched = ['lastAccessedAt', 'lastReinforcedAt', 'createdAt'].map((name) => timeOf(row[name]))
  const days = (now - Math.max(...touched)) / 86_400_000
  return { importance: Number(row['importance'] ?? 0), recency: Math.exp(-Number(row['decayRate'] ?? 0) * days) }
}

function timeOf(value: Value | undefined): number {
  return typeof value === 'string' ? Date.parse(value) : -Infinity
}

function part(name: string, value: number | undefined): Readonly<Record<string, number>> {
  return value === undefined ? {} : { [name]: value }
}

/** Rows of equal score are ordered by id, as on the server. */
function best(hits: readonly Hit[], limit: number): readonly Hit[] {
  return hits.toSorted((a, b) => b.score - a.score || (rowId(a.row) < rowId(b.row) ? -1 : 1)).slice(0, limit)
}

function escapeLike(word: string): string {
  return word.replace(/[\\%_]/g, (special) => `\\${special}`)
}
