import { Migration } from '@mikro-orm/migrations'
import { computeTaskProgress as formerComputeTaskProgress } from './Migration20261122010700_task_work.ts'

/** How far a task with children is follows from them alone: what somebody writes into it is computed anew. */
export class Migration20261122172100_parent_progress extends Migration {
  override up(): void {
    for (const statement of [childrenProgress, computeTaskProgress, keepTaskProgress]) this.addSql(statement)
    this.addSql(
      `create trigger a_progress_computed before update of progress_percentage on tasks for each row
        when (new.progress_percentage is distinct from old.progress_percentage) execute function sync.keep_task_progress()`,
    )
  }

  override down(): void {
    this.addSql('drop trigger a_progress_computed on tasks')
    this.addSql('drop function sync.keep_task_progress()')
    this.addSql(formerComputeTaskProgress.replace('create function', 'create or replace function'))
    this.addSql('drop function sync.children_progress(uuid)')
  }
}

/** The mean of those that are neither deleted nor cancelled; one that is done counts in full. Null: there are none. */
const childrenProgress = `
create function sync.children_progress(parent uuid) returns numeric language sql stable as $$
  select round(avg(case when status = 'completed' then 100 else progress_percentage end), 2)
  from public.tasks where parent_task_id = parent and deleted_at is null and status <> 'cancelled'
$$`

const computeTaskProgress = `
create or replace function sync.compute_task_progress() returns trigger language plpgsql as $$
declare
  parent uuid;
begin
  foreach parent in array array(
    select distinct id from unnest(array[
      case when tg_op <> 'INSERT' then old.parent_task_id end, case when tg_op <> 'DELETE' then new.parent_task_id end
    ]) as id where id is not null order by id
  ) loop
    -- Two children at once: the second one waits here, and then sees the first.
    perform from public.tasks where id = parent for no key update;
    update public.tasks set progress_percentage = mean
    from (select sync.children_progress(parent) as mean) children
    where id = parent and mean is not null and progress_percentage <> mean;
  end loop;
  return null;
end $$`

const keepTaskProgress = `
create function sync.keep_task_progress() returns trigger language plpgsql as $$
begin
  new.progress_percentage := coalesce(sync.children_progress(new.id), new.progress_percentage);
  return new;
end $$`
