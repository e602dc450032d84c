import { contextVectors } from '../entities/agents/context-vectors.ts'
import { wordsOrName } from '../search/candidates.ts'
import type { RepositoryParts, RowOf } from './repository.ts'
import { SearchingRepository, type Found, type SearchOptions } from './searching-repository.ts'

export interface ContextSearch extends SearchOptions {
  readonly sessionId?: string
  readonly agentId?: string
  readonly projectId?: string
  readonly types?: readonly string[]
}

const searched = {
  importance: '0.5',
  confidence: 'coalesce(t.confidence_score, 1)',
  words: wordsOrName(`to_tsvector('english'::regconfig, coalesce(t.content, ''))`),
}

/** What agents had before them in their sessions, and what of it is like something. */
export class ContextRepository extends SearchingRepository<typeof contextVectors> {
  constructor(parts: RepositoryParts) {
    super(parts, contextVectors)
  }

  /**
   * Best first, by vector, by words, or by both; words are looked for without an index, so name a session or an agent.
   */
  async similar(options: ContextSearch): Promise<readonly Found<RowOf<typeof contextVectors>>[]> {
    return this.ranked(
      searched,
      [
        ['t.session_id = ?', options.sessionId],
        ['t.agent_id = ?', options.agentId],
        ['t.project_id = ?', options.projectId],
        ['t.context_type = any (?::text[])', options.types],
      ],
      options,
    )
  }
}
