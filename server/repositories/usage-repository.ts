import { tokenUsages } from '../entities/costs/token-usages.ts'
import { Repository, type RepositoryParts } from './repository.ts'

/** What one agent used of one model. `costUsd` is an exact decimal; null while the model has no price. */
export interface UsageTotal {
  readonly agentId: string | null
  readonly model: string
  readonly requests: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costUsd: string | null
}

/** Tokens used, and what they cost. */
export class UsageRepository extends Repository<typeof tokenUsages> {
  constructor(parts: RepositoryParts) {
    super(parts, tokenUsages)
  }

  /**
   * Sums of a project from `from` until before `to`, the most expensive first. Reads only the months concerned, and of
   * them only the covering index.
   */
  async totals(projectId: string, from: Date, to: Date): Promise<readonly UsageTotal[]> {
    const { organizationId } = this.parts.actor
    // Beside the sum, which would else need a column that its index does not carry.
    const isOwn =
      organizationId === undefined ||
      (
        await this.parts.query({
          text: 'select from projects where id = $1 and organization_id = $2',
          values: [projectId, organizationId],
        })
      ).length === 1
    return isOwn ? this.parts.query<UsageTotal & object>({ text: usageTotalsSql, values: [projectId, from, to] }) : []
  }
}

/** $1 project, $2 from, $3 until before. Reads only columns that the index on (project_id, occurred_at) carries. */
export const usageTotalsSql = `select agent_id as "agentId", model, count(*)::int as requests, sum(input_tokens)::float8 as "inputTokens",
    sum(output_tokens)::float8 as "outputTokens", sum(cost_usd)::text as "costUsd"
  from token_usages where project_id = $1 and occurred_at >= $2 and occurred_at < $3
  group by agent_id, model order by sum(cost_usd) desc nulls last, agent_id, model`
