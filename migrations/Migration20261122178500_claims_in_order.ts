import { Migration } from '@mikro-orm/migrations'
import { projectGivesWork, readyTasks } from './Migration20261122178200_resting_projects.ts'
import { stepMayBegin, unfinished } from './Migration20261122178300_step_order.ts'

/**
 * A claim goes through the pending tasks in their order, and asks of each whether it is ready until one is. Before, all of them were
 * joined with all dependencies. Steps that may not begin yet are left out from the start: a plan has many tasks behind them.
 */
export class Migration20261122178500_claims_in_order extends Migration {
  override up(): void {
    this.addSql(readyTasks(`and ${givesWorkByJoin} and ${stepMayBegin(ofSameProject)}`))
    this.addSql(waitingSteps)
    this.addSql(inClaims(parts))
  }

  override down(): void {
    this.addSql(inClaims(parts.map(([before, after]) => [after, before])))
    this.addSql('drop function sync.waiting_steps(uuid[])')
    this.addSql(readyTasks(`and (${projectGivesWork}) and ${stepMayBegin()}`))
  }
}

/** With the project that is asked for, both are looked up by it. */
const givesWorkByJoin = `not exists (
        select from public.projects j where j.id = t.project_id and not sync.gives_work(j.status, j.deleted_at)
      )`
const ofSameProject = 'and m.project_id = t.project_id'

const waitingSteps = `
create function sync.waiting_steps(projects uuid[]) returns uuid[] language sql stable as $$
  select coalesce(array_agg(distinct m.macro_step_id), '{}')
  from public.macro_step_dependencies m join public.macro_steps s on s.id = m.depends_on_id
  where m.project_id = any (projects) and ${unfinished}
$$`

/** What a claim has, and what it has instead. */
const parts: readonly (readonly [string, string])[] = [
  ['chosen uuid;', 'chosen uuid;\n  candidate uuid;\n  waiting uuid[];'],
  [
    'select r.id into chosen from public.v_ready_tasks r\n  where r.project_id = any (projects)',
    `waiting := sync.waiting_steps(projects);
  for candidate in select r.id from public.tasks r
  where r.project_id = any (projects) and r.status = 'pending' and r.deleted_at is null
    and (r.run_after is null or r.run_after <= now()) and (r.next_retry_at is null or r.next_retry_at <= now())
    and (r.macro_step_id is null or r.macro_step_id <> all (waiting))`,
  ],
  [
    'limit 1 for update skip locked;',
    `loop
    select v.id into chosen from public.v_ready_tasks v where v.id = candidate for update skip locked;
    exit when chosen is not null;
  end loop;`,
  ],
]

/** All at once: in between it would be no function. */
const inClaims = (changes: typeof parts): string => `
do $do$
declare
  body text := pg_get_functiondef('sync.claim_next_task(uuid, uuid, interval, uuid[])'::regprocedure);
begin
${changes
  .map(
    ([before, after]) => `
  if position($t$${before}$t$ in body) = 0 then raise exception 'A claim is not as it was expected to be: %', body; end if;
  body := replace(body, $t$${before}$t$, $t$${after}$t$);`,
  )
  .join('')}
  execute body;
end $do$`
