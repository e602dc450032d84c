import { TideError } from '../../protocol/error.ts'
import { searchWeights } from '../../protocol/rows/search-rank.ts'
import { loadChannels } from '../scope/access.ts'
import { allOf, liveSql, type Bind, type Findable, type Near, type Words } from '../search/candidates.ts'
import { askNearest, type Asked } from '../search/nearest.ts'
import { rankSql, recencySql } from '../search/rank.ts'
import { Repository, type RowOf, type Table } from './repository.ts'

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

/** A found row with its score and what it is made of, each 0 to 1. */
export interface Found<Row> {
  readonly row: Row
  readonly score: number
  readonly similarity: number
  readonly text: number
}

/** What differs between the tables that are searched. SQL over alias `t`. */
export interface Searched {
  readonly importance: string
  readonly confidence: string
  /** Rows fade by a rate of their own, from when they were last of use. */
  readonly decays?: boolean
  readonly words: (text: string) => Words
}

/** A condition over alias `t` in which each `?` stands for the value. Left out when there is no value. */
export type SearchFilter = readonly [condition: string, value: unknown]

const { vector: similarity, ...otherWeights } = searchWeights
const defaults: Weights = { similarity, ...otherWeights }

/** So many times the limit are looked at by vector, and by words, before the parts are weighed. */
const candidatesPerHit = 4

/** What a found row comes with, besides its columns. */
interface Rank {
  readonly $score: number
  readonly $vector: number | null
  readonly $text: number | null
  readonly $near: number
}

/** A repository of rows that have a vector, and are searched by it. */
export class SearchingRepository<T extends Table> extends Repository<T> {
  /**
   * The best rows by vector, words, importance and age together; none of another organization. A user or an agent finds
   * the rows of their own channels, like a client of theirs; a unit of both, what both find; one of the organization
   * alone, all of its rows. The filters hold within both searches, so that they never starve the result.
   */
  protected async ranked(
    searched: Searched,
    filters: readonly SearchFilter[],
    options: SearchOptions,
  ): Promise<readonly Found<RowOf<T>>[]> {
    const { limit = 10, embedding, text = '', minConfidence = 0 } = options
    const hasWords = text.trim() !== ''
    if (!Number.isInteger(limit) || limit < 1 || limit > 200)
      throw new TideError('invalid_value', `A search for ${limit} rows was asked for; it may find 1 to 200.`)
    if (embedding === undefined && !hasWords)
      throw new TideError('invalid_value', `A search of ${this.table.name} has neither text nor embedding.`, {
        remedy: 'Give one of them.',
      })
    const candidates = limit * candidatesPerHit
    const confident: SearchFilter = [`${searched.confidence} >= ?`, minConfidence === 0 ? undefined : minConfidence]
    const findable = await this.#findable([...filters, confident])
    const weights = { ...defaults, ...options.weights }
    const rank = async (near?: Near): Promise<Asked<readonly Found<RowOf<T>>[]>> => {
      const values = [...(near ?? findable).values]
      const bind: Bind = (value) => `$${values.push(value)}`
      const statement = rankSql(
        {
          table: findable.table,
          near,
          words: hasWords ? { ...searched.words(bind(text)), findable: findable.condition } : undefined,
          worth: { importance: searched.importance, recency: recencySql(searched.decays ?? false) },
          candidates,
          limit,
          weights: { vector: weights.similarity, ...weights },
          columns: this.columnList('t'),
        },
        bind,
      )
      const rows = await this.readRows<Rank>({ text: statement, values })
      return { answer: rows.map(foundOf), near: rows[0]?.[0].$near ?? 0 }
    }
    if (embedding === undefined) return (await rank()).answer
    return askNearest(
      this.parts.query,
      { ...findable, column: 'embedding', vector: embedding, limit: candidates },
      rank,
      { few: this.parts.few },
    )
  }

  /** The rows that this unit may find, and that the filters let through. */
  async #findable(filters: readonly SearchFilter[]): Promise<Findable> {
    const own: SearchFilter = ['t.organization_id = ?', this.parts.actor.organizationId]
    const used = [own, ...filters].filter(([, value]) => value !== undefined)
    const values = used.map(([, value]) => value)
    const conditions = [
      ...liveSql(this.table),
      ...used.map(([condition], index) => condition.replaceAll('?', `$${index + 1}`)),
      ...(await this.#visible((value) => `$${values.push(value)}`)),
    ]
    return { table: this.table.name, condition: allOf(conditions), values }
  }

  /** Conditions over alias `t` for those on whose behalf the unit works. */
  async #visible(bind: Bind): Promise<readonly string[]> {
    const { actor, homes, query } = this.parts
    const { organizationId, userId, agentId } = actor
    if (organizationId === undefined) return []
    const conditions: string[] = []
    for (const [kind, id] of [
      ['user', userId],
      ['agent', agentId],
    ] as const) {
      if (id === undefined) continue
      const channels = (await loadChannels(query, { organizationId, kind, id })).keys()
      conditions.push(homes.carriedByAny(this.table, 't', { channels, organizationId, bind }))
    }
    return conditions
  }
}

function foundOf<Row>([rank, row]: readonly [Rank, Row]): Found<Row> {
  return { row, score: rank.$score, similarity: rank.$vector ?? 0, text: rank.$text ?? 0 }
}
