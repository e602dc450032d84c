import { tasks } from '../entities/planning/tasks.ts'
import { inOrder } from './ranked.ts'
import { pageSize, Repository, type RepositoryParts, type RowOf } from './repository.ts'

export interface Claim {
  readonly agentId: string
  readonly instanceId?: string
  readonly projectIds: readonly string[]
  readonly leaseSeconds?: number
}

/** Tasks, and who takes which next. */
export class TaskRepository extends Repository<typeof tasks> {
  constructor(parts: RepositoryParts) {
    super(parts, tasks)
  }

  /**
   * What may be begun now in a project, the most important first, then the oldest; at most `limit` tasks, 1 to 1,000.
   */
  async ready(projectId: string, limit = 50): Promise<readonly RowOf<typeof tasks>[]> {
    const ready = await this.parts.query<{ readonly id: string }>({
      text: `select id from v_ready_tasks where project_id = $1 order by priority_rank desc, created_at, id limit $2`,
      values: [projectId, pageSize(limit)],
    })
    return inOrder(ready, await this.byIds(ready.map(({ id }) => id))).map(([, row]) => row)
  }

  /**
   * Takes the next ready task for an agent, with a lease and a run; undefined when nothing is ready for it. Claims that
   * run at the same time pass over each other's tasks and never wait.
   */
  async claim({
    agentId,
    instanceId,
    projectIds,
    leaseSeconds = 300,
  }: Claim): Promise<{ readonly task: RowOf<typeof tasks>; readonly runId: string } | undefined> {
    const [claimed] = await this.parts.query<{ readonly task_id: string; readonly run_id: string }>({
      text: 'select task_id, run_id from sync.claim_next_task($1, $2, make_interval(secs => $3), $4::uuid[])',
      values: [agentId, instanceId ?? null, leaseSeconds, projectIds],
    })
    return claimed && { task: await this.need(claimed.task_id), runId: claimed.run_id }
  }
}
