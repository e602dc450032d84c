import { loadChannels } from '../scope/access.ts'
import { createHomes } from '../scope/homes.ts'
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
  /**
   * Best first, by vector, by words, or by both; none of another organization. A user or an agent finds the rows of their own
   * channels, like a client of theirs; a unit of both, what both find; one of the organization alone, all of its rows.
   */
  protected async ranked(
    searched: Omit<Searched, 'table'>,
    filters: readonly SearchFilter[],
    options: SearchOptions,
  ): Promise<readonly Found<RowOf<T>>[]> {
    const own: SearchFilter = ['t.organization_id = ?', this.parts.actor.organizationId]
    const used = [own, ...filters].filter(([, value]) => value !== undefined)
    const parameters = used.map(([, value]) => value)
    const conditions = used.map(([condition], index) => condition.replaceAll('?', `$${index + 1}`))
    conditions.push(...(await this.#visible((value) => `$${parameters.push(value)}`)))
    const filter = { text: conditions.join(' and '), parameters }
    const ranked = await hybridSearch(this.parts.query, { ...searched, table: this.table.name }, filter, options)
    const rows = await this.byIds(ranked.map(({ id }) => id))
    return inOrder(ranked, rows).map(([{ score, similarity, text }, row]) => ({ row, score, similarity, text }))
  }

  /** Conditions over alias `t` for those on whose behalf the unit works. */
  async #visible(bind: (value: unknown) => string): Promise<readonly string[]> {
    const { actor, catalog, query } = this.parts
    const { organizationId, userId, agentId } = actor
    if (organizationId === undefined) return []
    const conditions: string[] = []
    for (const [kind, id] of [
      ['user', userId],
      ['agent', agentId],
    ] as const) {
      if (id === undefined) continue
      const channels = (await loadChannels(query, { organizationId, kind, id })).keys()
      conditions.push(createHomes(catalog).carriedByAny(this.table, 't', { channels, organizationId, bind }))
    }
    return conditions
  }
}
