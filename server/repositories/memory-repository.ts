import { memories } from '../entities/memory/memories.ts'
import { fullText, hybridSearch, type Ranked, type SearchOptions } from './hybrid-search.ts'
import { inOrder } from './ranked.ts'
import { Repository, type RepositoryParts, type RowOf } from './repository.ts'

export interface MemorySearch extends SearchOptions {
  readonly scopes?: readonly string[]
  readonly types?: readonly string[]
  readonly tiers?: readonly string[]
  /** All of them. */
  readonly tags?: readonly string[]
  readonly projectId?: string
  readonly agentId?: string
  readonly userId?: string
}

export interface Found<Row> extends Omit<Ranked, 'id'> {
  readonly row: Row
}

const searched = {
  table: 'memories',
  live: `t.status = 'active' and t.deleted_at is null and (t.expires_at is null or t.expires_at > now())`,
  importance: 't.importance',
  confidence: 't.confidence',
  text: fullText,
}

/** Memories, and the search among them: what is expired, superseded or another organization's is never found. */
export class MemoryRepository extends Repository<typeof memories> {
  constructor(parts: RepositoryParts) {
    super(parts, memories)
  }

  /** Best first, by vector, by words, or by both. */
  async search(options: MemorySearch): Promise<readonly Found<RowOf<typeof memories>>[]> {
    const filters: readonly (readonly [condition: string, value: unknown])[] = [
      ['t.organization_id = ?', this.parts.actor.organizationId],
      ['t.scope = any (?::text[])', options.scopes],
      ['t.memory_type = any (?::text[])', options.types],
      ['t.tier = any (?::text[])', options.tiers],
      ['t.project_id = ?', options.projectId],
      ['t.agent_id = ?', options.agentId],
      ['t.user_id = ?', options.userId],
      [
        `(select count(*) from memory_tags g where g.memory_id = t.id and g.deleted_at is null and g.tag = any (?::text[])) = cardinality(?::text[])`,
        options.tags,
      ],
    ]
    const used = filters.filter(([, value]) => value !== undefined)
    const filter = {
      text: used.map(([condition], index) => condition.replaceAll('?', `$${index + 1}`)).join(' and '),
      parameters: used.map(([, value]) => value),
    }
    const ranked = await hybridSearch(this.parts.query, searched, filter, options)
    const rows = await this.byIds(ranked.map(({ id }) => id))
    return inOrder(ranked, rows).map(([{ score, similarity, text }, row]) => ({ row, score, similarity, text }))
  }
}
