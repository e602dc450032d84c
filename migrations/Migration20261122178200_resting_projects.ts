import { Migration } from '@mikro-orm/migrations'

/**
 * Of a project that is paused, cancelled, archived or deleted nobody is given new work: no task, no step of a pipeline, no run. One that
 * is cancelled or archived ends its runs as well.
 */
export class Migration20261122178200_resting_projects extends Migration {
  override up(): void {
    this.addSql(givesWork)
    this.addSql(projectsWithWork)
    this.addSql(readyTasks(`and (${projectGivesWork})`))
    this.addSql(inFunction(claimNextTask, 'select r.id into chosen from', `${filter}\n  select r.id into chosen from`))
    this.addSql(inFunction(claimStep, 'select x.id into chosen', `${filter}\n  select x.id into chosen`))
    this.addSql(inFunction(startPipeline, active, `${active} and (${pipelineGivesWork})`))
    this.addSql(inFunction(closeProject, 'declare', 'declare\n  run uuid;'))
    this.addSql(inFunction(closeProject, stopTasks, `${stopRuns}\n  ${stopTasks}`))
  }

  override down(): void {
    this.addSql(inFunction(closeProject, `${stopRuns}\n  ${stopTasks}`, stopTasks))
    this.addSql(inFunction(closeProject, 'declare\n  run uuid;', 'declare'))
    this.addSql(inFunction(startPipeline, `${active} and (${pipelineGivesWork})`, active))
    this.addSql(inFunction(claimStep, `${filter}\n  select x.id into chosen`, 'select x.id into chosen'))
    this.addSql(inFunction(claimNextTask, `${filter}\n  select r.id into chosen from`, 'select r.id into chosen from'))
    this.addSql(readyTasks(''))
    this.addSql('drop function sync.projects_with_work(uuid[])')
    this.addSql('drop function sync.gives_work(text, timestamptz)')
  }
}

const claimNextTask = 'sync.claim_next_task(uuid, uuid, interval, uuid[])'
const claimStep = 'sync.claim_step(uuid, uuid, interval, uuid[], text[])'
const startPipeline = 'sync.start_pipeline(uuid, text, text, text, jsonb)'
const closeProject = 'sync.close_project()'

/** The planner puts it into the queries that call it. */
const givesWork = `
create function sync.gives_work(status text, deleted_at timestamptz) returns boolean language sql immutable as $$
  select status not in ('paused', 'cancelled', 'archived') and deleted_at is null
$$`

const projectsWithWork = `
create function sync.projects_with_work(of_these uuid[]) returns uuid[] language sql stable as $$
  select coalesce(array_agg(j.id), '{}') from public.projects j where j.id = any (of_these) and sync.gives_work(j.status, j.deleted_at)
$$`

/** Once for all tasks: those of a project that rests are not even looked at. */
const filter = 'projects := sync.projects_with_work(projects);'
const active = 'where id = pipeline and is_active and deleted_at is null'
const pipelineGivesWork =
  'select sync.gives_work(j.status, j.deleted_at) from public.projects j where j.id = pipelines.project_id'
/** As a value and not as EXISTS: the planner keeps to the order of the tasks, and asks for each until there are enough. */
export const projectGivesWork =
  'select sync.gives_work(j.status, j.deleted_at) from public.projects j where j.id = t.project_id'

/** Those that wait first: a run that ends lets the next one begin. */
const stopRuns = `update public.workflow_runs set status = 'cancelled', finished_at = date_trunc('milliseconds', clock_timestamp())
  where project_id = new.id and status in ('pending', 'queued');
  for run in
    select id from public.pipeline_executions where project_id = new.id and status in ('pending', 'queued', 'running') order by id for no key update
  loop
    perform sync.end_pipeline(run, 'cancelled', format('The project was %s.', new.status));
  end loop;`
const stopTasks = `update public.tasks set status = 'cancelled'`

/** The view with further conditions, and with the columns that it has. */
export const readyTasks = (more: string): string => `
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
      ) ${more}
    $q$,
    (select string_agg('t.' || quote_ident(attname), ', ' order by attnum) from pg_attribute
     where attrelid = 'public.v_ready_tasks'::regclass and attnum > 0 and not attisdropped)
  );
end $$`

const inFunction = (name: string, before: string, after: string): string => `
do $do$ begin
  execute replace(pg_get_functiondef('${name}'::regprocedure), $t$${before}$t$, $t$${after}$t$);
end $do$`
