import { Migration } from '@mikro-orm/migrations'

/**
 * A task of a macro step is ready when that step may begin: every step before it is completed or skipped, and those that only have to
 * begin first (`start_to_start`) have begun. People and agents say how far a step is; tasks do not change it.
 */
export class Migration20261122178300_step_order extends Migration {
  override up(): void {
    this.addSql(inReadyTasks(`and not exists (${unfinished})`))
  }

  override down(): void {
    this.addSql(inReadyTasks(''))
  }
}

const unfinished = `
        select from public.macro_step_dependencies m join public.macro_steps s on s.id = m.depends_on_id
        where m.macro_step_id = t.macro_step_id and m.deleted_at is null and s.deleted_at is null
          and case m.kind when 'start_to_start' then s.status in ('pending', 'ready', 'cancelled') else s.status not in ('completed', 'skipped') end`

/** With the columns that it has. */
const inReadyTasks = (more: string): string => `
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
      and (select sync.gives_work(j.status, j.deleted_at) from public.projects j where j.id = t.project_id)
      ${more}
    $q$,
    (select string_agg('t.' || quote_ident(attname), ', ' order by attnum) from pg_attribute
     where attrelid = 'public.v_ready_tasks'::regclass and attnum > 0 and not attisdropped)
  );
end $$`
