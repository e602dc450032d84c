import { Migration } from '@mikro-orm/migrations'

/** The integrity check looks at everything that is kept beside what it follows from, and a parent's progress is always that of its children. */
export class Migration20261122162400_integrity extends Migration {
  override up(): void {
    this.addSql(inCheck(ofLinks, `${ofLinks}${more}`))
    this.addSql(inCheck(ofCapabilities, `${totals}${ofCapabilities}`))
    this.addSql(keepProgress)
    this.addSql(
      `create trigger a_progress before update of progress_percentage on tasks for each row
        when (new.progress_percentage is distinct from old.progress_percentage) execute function sync.keep_parent_progress()`,
    )
  }

  override down(): void {
    this.addSql('drop trigger a_progress on tasks')
    this.addSql('drop function sync.keep_parent_progress()')
    this.addSql(inCheck(`${totals}${ofCapabilities}`, ofCapabilities))
    this.addSql(inCheck(`${ofLinks}${more}`, ofLinks))
  }
}

const ofLinks = `('document_links', 'target_type', 'target_id', 'r.deleted_at is null'),`

/** What an event was about may be purged later; when it was published it was there. */
const more = `
      ('feedback_loops', 'applied_to_type', 'applied_to_id', 'r.deleted_at is null'),
      ('context_vectors', 'source_table', 'source_id', 'true'),
      ('events', 'subject_type', 'subject_id', $c$r.occurred_at > now() - interval '1 day'$c$),`

const ofCapabilities = `  table_name := 'agents';
  select count(*), min(a.id::text) into problems, example from public.agents a
  where a.capability_names`

/** Messages and runs are purged, and their sums stay: a sum may be more than what is left, and never less. */
const totals = `  table_name := 'conversations (tokens and cost)';
  select count(*), min(c.id::text) into problems, example from public.conversations c join (
    select conversation_id, sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) as tokens, sum(coalesce(cost_usd, 0)) as cost
    from public.messages group by conversation_id
  ) m on m.conversation_id = c.id where c.total_tokens < m.tokens or c.total_cost < m.cost;
  return next;
  table_name := 'agents (tasks completed)';
  select count(*), min(a.id::text) into problems, example from public.agents a join (
    select agent_id, count(*) as done from public.task_runs where status = 'completed' group by agent_id
  ) r on r.agent_id = a.id where a.total_tasks_completed < r.done and not exists (select from sync.stale_agents s where s.agent_id = a.id);
  return next;
  table_name := 'tasks (progress of parents)';
  select count(*), min(t.id::text) into problems, example from public.tasks t join (
    select parent_task_id, round(avg(case when status = 'completed' then 100 else progress_percentage end), 2) as progress
    from public.tasks where parent_task_id is not null and deleted_at is null and status <> 'cancelled' group by parent_task_id
  ) m on m.parent_task_id = t.id where t.progress_percentage <> m.progress;
  return next;
`

const inCheck = (before: string, after: string): string => `
do $$ begin
  execute replace(pg_get_functiondef('sync.check_integrity()'::regprocedure), $t$${before}$t$, $t$${after}$t$);
end $$`

/** Whatever is written to it. */
const keepProgress = `
create function sync.keep_parent_progress() returns trigger language plpgsql as $$
begin
  new.progress_percentage := coalesce((
    select round(avg(case when status = 'completed' then 100 else progress_percentage end), 2)
    from public.tasks where parent_task_id = new.id and deleted_at is null and status <> 'cancelled'
  ), new.progress_percentage);
  return new;
end $$`
