import { knowledgeEntries } from '../entities/memory/knowledge-entries.ts'
import { wordsOrName } from '../search/candidates.ts'
import { inOrder } from './ranked.ts'
import type { RepositoryParts, RowOf } from './repository.ts'
import { SearchingRepository, type Found, type SearchOptions } from './searching-repository.ts'

export interface KnowledgeSearch extends SearchOptions {
  readonly entryTypes?: readonly string[]
  readonly projectId?: string
  /** Any of them. */
  readonly tags?: readonly string[]
}

const searched = {
  importance: 'coalesce(t.quality_score, 0.5)',
  confidence: 'coalesce(t.confidence_score, 1)',
  words: wordsOrName('t.search_vector', 't.title'),
}

/** The knowledge base: current entries are searched, frozen ones are its history. */
export class KnowledgeRepository extends SearchingRepository<typeof knowledgeEntries> {
  constructor(parts: RepositoryParts) {
    super(parts, knowledgeEntries)
  }

  /** Best first, by vector, by words, or by both. */
  async search(options: KnowledgeSearch): Promise<readonly Found<RowOf<typeof knowledgeEntries>>[]> {
    return this.ranked(
      searched,
      [
        ['t.entry_type = any (?::text[])', options.entryTypes],
        ['t.project_id = ?', options.projectId],
        ['t.tags && ?::text[]', options.tags],
      ],
      options,
    )
  }

  /** The entry and its frozen former contents, newest first. */
  async history(id: string): Promise<readonly RowOf<typeof knowledgeEntries>[]> {
    const former = await this.parts.query<{ readonly id: string }>({
      text: `with recursive chain as (
          select id, previous_version_id, 0 as depth from knowledge_entries where id = $1
          union all select k.id, k.previous_version_id, chain.depth + 1 from knowledge_entries k join chain on k.id = chain.previous_version_id where chain.depth < 1000
        ) select id from chain order by depth`,
      values: [id],
    })
    return inOrder(former, await this.byIds(former.map((one) => one.id))).map(([, row]) => row)
  }
}
