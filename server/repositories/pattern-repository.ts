import { patterns } from '../entities/memory/patterns.ts'
import { wordsOrName } from '../search/candidates.ts'
import type { RepositoryParts, RowOf } from './repository.ts'
import { SearchingRepository, type Found, type SearchOptions } from './searching-repository.ts'

export interface PatternSearch extends SearchOptions {
  readonly projectId?: string
  readonly kinds?: readonly string[]
  /** Any of them. */
  readonly tags?: readonly string[]
}

const searched = {
  importance: 'coalesce(t.success_rate, 0.5)',
  confidence: 't.confidence',
  words: wordsOrName(
    `to_tsvector('english'::regconfig, concat_ws(' ', t.name, t.description, t.problem, t.solution))`,
    't.name',
  ),
}

/** Learned patterns, and which of them are like something; what is deprecated is never found. */
export class PatternRepository extends SearchingRepository<typeof patterns> {
  constructor(parts: RepositoryParts) {
    super(parts, patterns)
  }

  /** Best first, by vector, by words, or by both; how often a pattern succeeded is its importance. */
  async similar(options: PatternSearch): Promise<readonly Found<RowOf<typeof patterns>>[]> {
    return this.ranked(
      searched,
      [
        ['t.status <> ?', 'deprecated'],
        ['t.project_id = ?', options.projectId],
        ['t.kind = any (?::text[])', options.kinds],
        ['t.tags && ?::text[]', options.tags],
      ],
      options,
    )
  }
}
