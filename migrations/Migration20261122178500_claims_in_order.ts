import { Migration } from '@mikro-orm/migrations'

/**
 * A claim goes through the pending tasks in their order, and asks of each whether it is ready until one is. Before, all of them were
 * joined with all dependencies. Steps that may not begin yet are left out from the start: a plan has many tasks behind them.
 */
export class Migration20261122178500_claims_in_order extends Migration {
  override up(): void {
    this.addSql(readyTasks(givesWorkByJoin, ofSameProject))
    this.addSql(waitingSteps)
    this.addSql(inClaims(parts))
  }

  override down(): void {
    this.addSql(inClaims(parts.map(([before, after]) => [after, before])))
    this.addSql('drop function sync.waiting_steps(uuid[])')
    this.addSql(readyTasks(givesWorkByValue, ''))
  }
}

const unfinished = `m.deleted_at is null and s.deleted_at is null
          and case m.kind when 'start_to_start' then s.status in ('pending', 'ready', 'cancelled') else s.status not in ('completed', 'skipped') end`

/** With the project that is asked for, both are looked up by it. */
const givesWorkByJoin = `not exists (
        select from public.projects j where j.id = t.project_id and not sync.gives_work(j.status, j.deleted_at)
      )`
const givesWorkByValue =
  '(select sync.gives_work(j.status, j.deleted_at) from public.projects j where j.id = t.project_id)'
const ofSameProject = 'and m.project_id = t.project_id'

/** With the columns that it has. */
const readyTasks = (givesWork: string, more: string): string => `
do $$ begin
  execute format(
    $q$
    create or replace view public.v_ready_tasks with (security_invoker = true) as
    select %s from public.tasks t
    where t.status = 'pending' and t.deleted_at is null
      and (t.run_after is null or t.run_after <= now())
      and (t.next_retry_at is null or t.next_retry_at <= now())
      and not exists (
        select from public.task_dependencies d join public.tasks p on p.id = d.depends_on_task_id
        where d.task_id = t.id and d.deleted_at is null and p.deleted_at is null and p.status <> 'completed'
      )
      and ${givesWork}
      and not exists (
        select from public.macro_step_dependencies m join public.macro_steps s on s.id = m.depends_on_id
        where m.macro_step_id = t.macro_step_id ${more} and ${unfinished}
      )
    $q$,
    (select string_agg('t.' || quote_ident(attname), ', ' order by attnum) from pg_attribute
     where attrelid = 'public.v_ready_tasks'::regclass and attnum > 0 and not attisdropped)
  );
end $$`

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
