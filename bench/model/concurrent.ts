import { TideError } from '../../protocol/error.ts'
import type { Actor, Repositories, Unit } from '../../server/repositories/repositories.ts'

/** What a mix of operations at the same time came to; `wrong` is empty when nothing was lost or double. */
export interface ConcurrentResult {
  readonly seconds: number
  readonly operations: number
  readonly wrong: readonly string[]
}

/**
 * So many operations at once on one project: four in ten claim one of `claimable` tasks, three insert one, two add one
 * to the same task in SQL, one adds one to it by reading it and changing it at the version that was read, over and over
 * until nobody was quicker. Counts afterwards what must have come of it.
 */
export async function runConcurrently(
  repositories: Repositories,
  actor: Actor,
  { projectId, agentId }: { readonly projectId: string; readonly agentId: string },
  operations: number,
): Promise<ConcurrentResult> {
  const unit: InUnit = (work) => repositories.withUnit(actor, work)
  const claimable = Math.floor(operations / 4)
  const label = `run ${operations}`
  const draft = (title: string) => ({ projectId, title, parallelGroup: label })
  const shared = await unit(async ({ tasks, query }) => {
    await query({
      text: `update tasks set status = 'cancelled' where project_id = $1 and status = 'pending'`,
      values: [projectId],
    })
    await tasks.createMany(Array.from({ length: claimable }, (_, n) => draft(`claim ${n}`)))
    return (await tasks.create({ ...draft('shared'), status: 'blocked' })).id
  })
  const [claim, insert, add, addByVersion] = [
    () => unit(({ tasks }) => tasks.claim({ agentId, projectIds: [projectId], leaseSeconds: 600 })),
    () => unit(({ tasks }) => tasks.create({ ...draft('new'), status: 'blocked' })),
    () =>
      unit(({ query }) =>
        query({
          text: 'update tasks set actual_hours = coalesce(actual_hours, 0) + 1 where id = $1',
          values: [shared],
        }),
      ),
    () => addOne(unit, shared),
  ] as const
  const order = [claim, insert, claim, add, claim, insert, claim, add, insert, addByVersion] as const
  const kindOf = (n: number): (() => Promise<unknown>) => order[n % order.length] ?? claim
  const start = performance.now()
  const ended = await Promise.allSettled(Array.from({ length: operations }, (_, n) => kindOf(n)()))
  const seconds = (performance.now() - start) / 1000
  const failed = ended.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))
  const [after] = await unit(({ query }) =>
    query<Record<string, number>>({
      text: `select (select actual_hours from tasks where id = $1)::int as added, (select position from tasks where id = $1)::int as counted,
          count(*) filter (where title = 'new')::int as inserted, count(*) filter (where title like 'claim %' and status = 'in_progress')::int as claimed,
          (select count(*) from task_runs r join tasks t on t.id = r.task_id where t.project_id = $2 and t.parallel_group = $3)::int as runs
        from tasks where project_id = $2 and parallel_group = $3`,
      values: [shared, projectId, label],
    }),
  )
  const share = (kind: () => Promise<unknown>): number =>
    Array.from({ length: operations }, (_, n) => kindOf(n)).filter((one) => one === kind).length
  const claimed = Math.min(claimable, share(claim))
  const expected: Readonly<Record<string, number>> = {
    claimed,
    runs: claimed,
    inserted: share(insert),
    added: share(add),
    counted: share(addByVersion),
  }
  const lost = Object.entries(expected).flatMap(([name, value]) =>
    after?.[name] === value ? [] : [`${name}: ${after?.[name]} instead of ${value}`],
  )
  return { seconds, operations, wrong: [...failed, ...lost] }
}

type InUnit = <T>(work: (unit: Unit) => Promise<T>) => Promise<T>

async function addOne(unit: InUnit, id: string): Promise<void> {
  for (let done = false; !done;) {
    done = await unit(async ({ tasks }) => {
      const { position, version } = await tasks.need(id)
      await tasks.patch(id, { position: position + 1 }, { version })
      return true
    }).catch((error: unknown) => {
      if (error instanceof TideError && error.code === 'version_conflict') return false
      throw error
    })
  }
}
