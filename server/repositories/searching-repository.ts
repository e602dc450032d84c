import { hybridSearch, type Ranked, type Searched, type SearchOptions } from './hybrid-search.ts'
import { inOrder } from './ranked.ts'
import { Repository, type RowOf, type Table } from './repository.ts'

export interface Found<Row> extends Omit<Ranked, 'id'> {
  readonly row: Row
}

/** A condition over alias `t` in which each `?` stands for the value. Left out when there is no value. */
export type SearchFilter = readonly [condition: string, value: unknown]

/** A repository of rows that have a vector, and are searched by it. */
export class SearchingRepository<T extends Table> extends Repository<T> {
  /** Best first, by vector, by words, or by both; none of another organization. */
  protected async ranked(
    searched: Omit<Searched, 'table'>,
    filters: readonly SearchFilter[],
    options: SearchOptions,
  ): Promise<readonly Found<RowOf<T>>[]> {
    const own: SearchFilter = ['t.organization_id = ?', this.parts.actor.organizationId]
    const used = [own, ...filters].filter(([, value]) => value !== undefined)
    const filter = {
      text: used.map(([condition], index) => condition.replaceAll('?', `$${index + 1}`)).join(' and '),
      parameters: used.map(([, value]) => value),
    }
    const ranked = await hybridSearch(this.parts.query, { ...searched, table: this.table.name }, filter, options)
    const rows = await this.byIds(ranked.map(({ id }) => id))
    return inOrder(ranked, rows).map(([{ score, similarity, text }, row]) => ({ row, score, similarity, text }))
  }
}
