import { memories } from '../entities/memory/memories.ts'
import { wordsOrName } from '../search/candidates.ts'
import type { RepositoryParts, RowOf } from './repository.ts'
import { SearchingRepository, type Found, type SearchOptions } from './searching-repository.ts'

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

const searched = {
  importance: 't.importance',
  confidence: 't.confidence',
  decays: true,
  words: wordsOrName('t.search_vector', 't.title'),
}

/** Memories, and the search among them: what is expired, superseded or another organization's is never found. */
export class MemoryRepository extends SearchingRepository<typeof memories> {
  constructor(parts: RepositoryParts) {
    super(parts, memories)
  }

  /** Best first, by vector, by words, or by both. */
  async search(options: MemorySearch): Promise<readonly Found<RowOf<typeof memories>>[]> {
    const hasTags = `(select count(*) from memory_tags g where g.memory_id = t.id and g.deleted_at is null and g.tag = any (?::text[])) = cardinality(?::text[])`
    return this.ranked(
      searched,
      [
        ['t.scope = any (?::text[])', options.scopes],
        ['t.memory_type = any (?::text[])', options.types],
        ['t.tier = any (?::text[])', options.tiers],
        ['t.project_id = ?', options.projectId],
        ['t.agent_id = ?', options.agentId],
        ['t.user_id = ?', options.userId],
        [hasTags, options.tags],
      ],
      options,
    )
  }
}
