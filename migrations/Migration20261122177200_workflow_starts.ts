import { Migration } from '@mikro-orm/migrations'
import { computeWorkflowRun as formerComputeRun } from './Migration20261122100200_pipelines.ts'

/**
 * Runs of workflows end when a task of theirs is deleted too, and by a cancel; and they begin by events, webhooks and the clock, as those of
 * pipelines do.
 */
export class Migration20261122177200_workflow_starts extends Migration {
  override up(): void {
    this.addSql('drop trigger d_workflow_computed on tasks')
    for (const statement of [
      endRun,
      computeRun,
      ...runTriggers,
      endRuns,
      scheduleRuns,
      startWorkflow,
      startByEvent,
      ...eventTriggers,
    ])
      this.addSql(statement)
  }

  override down(): void {
    for (const name of ['d_workflow_computed', 'd_workflow_computed_delete'])
      this.addSql(`drop trigger ${name} on tasks`)
    this.addSql('drop trigger c_workflows on events')
    for (const name of [
      'sync.start_workflows_by_event()',
      'sync.start_workflow(uuid, uuid, jsonb, uuid)',
      'sync.end_workflow_run(uuid, text, text)',
    ])
      this.addSql(`drop function ${name}`)
    this.addSql('drop table sync.workflow_schedule_runs')
    this.addSql(formerComputeRun.replace('create function', 'create or replace function'))
    this.addSql(
      `create trigger d_workflow_computed after update of status on tasks for each row
    when (new.workflow_run_id is not null and old.status is distinct from new.status) execute function sync.compute_workflow_run()`,
    )
  }
}

/** What is left of the run is cancelled, an event says how it ended, and the next that waits begins. Nothing happens to one that has ended. */
export const endRun = `
create function sync.end_workflow_run(run uuid, became text, message text) returns void language plpgsql as $$
declare
  r public.workflow_runs;
  next uuid;
begin
  update public.workflow_runs set status = became, error_message = message, finished_at = date_trunc('milliseconds', clock_timestamp()),
    output = case when became = 'completed' then (
      select jsonb_object_agg(metadata->>'step', result) from public.tasks where workflow_run_id = run and deleted_at is null
    ) end
  where id = run and status in ('pending', 'queued', 'running') returning * into r;
  if r.id is null then return; end if;
  update public.tasks set status = 'cancelled'
  where workflow_run_id = run and deleted_at is null and status not in ('completed', 'failed', 'cancelled');
  perform sync.publish_event(r.organization_id, 'workflows', 'workflow.' || became, r.project_id, 'workflow_run', r.id, jsonb_build_object('workflowId', r.workflow_id));
  select id into next from public.workflow_runs where workflow_id = r.workflow_id and status = 'queued' order by created_at, id limit 1;
  if next is not null then perform sync.begin_workflow_run(next); end if;
end $$`

/** A run is as its tasks are: one that has failed ends it, and so does the last that is deleted. */
const computeRun = `
create or replace function sync.compute_workflow_run() returns trigger language plpgsql as $$
declare
  step public.tasks := case tg_op when 'DELETE' then old else new end;
  r public.workflow_runs;
  became text;
begin
  -- Tasks that go with their project or organization end nothing that stays.
  if tg_op = 'DELETE' and not exists (
    select from public.projects p join public.organizations o on o.id = p.organization_id where p.id = old.project_id
  ) then return null; end if;
  select * into r from public.workflow_runs where id = step.workflow_run_id for no key update;
  if r.status is distinct from 'running' then return null; end if;
  select case when bool_or(status = 'failed') then 'failed' when bool_or(status = 'cancelled') then 'cancelled'
    when bool_and(status = 'completed') then 'completed' when count(*) = 0 then 'cancelled' else 'running' end into became
  from public.tasks where workflow_run_id = r.id and deleted_at is null;
  if became <> 'running' then
    perform sync.end_workflow_run(r.id, became, case when became = 'failed' then format('Step %s failed.', step.metadata->>'step') end);
    return null;
  end if;
  update public.workflow_runs set current_step = (
    select metadata->>'step' from public.tasks
    where workflow_run_id = r.id and deleted_at is null and status not in ('completed', 'cancelled') order by status <> 'in_progress', position limit 1
  ) where id = r.id;
  return null;
end $$`

const runTriggers = [
  `create trigger d_workflow_computed after update of status, deleted_at on tasks for each row
    when (new.workflow_run_id is not null and (old.status, old.deleted_at) is distinct from (new.status, new.deleted_at)) execute function sync.compute_workflow_run()`,
  `create trigger d_workflow_computed_delete after delete on tasks for each row
    when (old.workflow_run_id is not null and old.deleted_at is null) execute function sync.compute_workflow_run()`,
]

/** For which time the newest run of a workflow by its schedule began. */
const scheduleRuns = `
create table sync.workflow_schedule_runs (
  workflow_id uuid primary key references public.workflows on delete cascade,
  due_at timestamptz not null
)`

/** Runs that wait for a task which was deleted before. */
const endRuns = `
select sync.end_workflow_run(r.id, case when exists (select from public.tasks t where t.workflow_run_id = r.id and t.deleted_at is null) then 'completed' else 'cancelled' end, null)
from public.workflow_runs r join public.workflows w on w.id = r.workflow_id
where r.status = 'running' and not exists (
  select from public.tasks t where t.workflow_run_id = r.id and t.deleted_at is null and t.status <> 'completed'
) order by r.created_at, r.id`

/** Null: there is no such workflow that is active, or its project gives no work. \`project\` is where its tasks are, when it is of no project itself. */
const startWorkflow = `
create function sync.start_workflow(workflow uuid, project uuid, input jsonb, trigger_event uuid) returns uuid language plpgsql as $$
declare
  made uuid;
begin
  perform from public.workflows w where w.id = workflow and w.is_active and w.deleted_at is null and exists (
    select from public.projects p where p.id = coalesce(w.project_id, start_workflow.project) and p.organization_id = w.organization_id
      and p.status not in ('paused', 'cancelled', 'archived') and p.deleted_at is null
  ) for no key update of w;
  if not found then return null; end if;
  insert into public.workflow_runs (organization_id, workflow_id, project_id, definition_revision, input, trigger_event_id, origin_device_id)
  select organization_id, id, coalesce(project_id, start_workflow.project), definition_revision, start_workflow.input, trigger_event,
    nullif(current_setting('app.device_id', true), '')::uuid
  from public.workflows where id = workflow returning id into made;
  perform sync.begin_workflow_run(made);
  return made;
end $$`

/**
 * `trigger_config`: {source?, type?, filter?, projectId?, input?}, patterns and filter as of a subscription; for webhooks also {integrationId?}, and
 * only events that a webhook has published. Tasks are in the project of the workflow, else in that of the event, else in `projectId`.
 * What keeps pipelines from starting each other without end does so here.
 */
const startByEvent = `
create function sync.start_workflows_by_event() returns trigger language plpgsql as $$
declare
  w record;
  place uuid;
  webhook boolean := new.subject_type = 'integration' and new.subject_id::text = current_setting('app.integration_id', true);
begin
  if new.created_at not between now() - interval '1 millisecond' and now() + interval '1 millisecond' or pg_trigger_depth() > 4 then return null; end if;
  for w in
    select id, project_id, trigger_kind, trigger_config as config from public.workflows
    where organization_id = new.organization_id and trigger_kind in ('event', 'webhook') and is_active and deleted_at is null
      and (new.project_id is null or project_id is null or project_id = new.project_id)
    order by id
  loop
    begin
      place := coalesce(w.project_id, new.project_id, (w.config ->> 'projectId')::uuid);
      if (w.trigger_kind = 'event' or coalesce(webhook, false) and coalesce(w.config ->> 'integrationId' = new.subject_id::text, true))
        and sync.event_matches(new, coalesce(w.config ->> 'source', '*'), coalesce(w.config ->> 'type', '*'), coalesce(w.config -> 'filter', '{}'))
        and exists (select from public.projects p where p.id = place and p.organization_id = new.organization_id and p.deleted_at is null)
        and not exists (select from public.workflow_runs x where x.id = new.subject_id and x.workflow_id = w.id)
        and (select count(*) from public.workflow_runs x where x.workflow_id = w.id and x.status in ('pending', 'queued', 'running')) < 100
      then
        perform sync.start_workflow(w.id, place, coalesce(w.config -> 'input', '{}') || jsonb_build_object('event',
          jsonb_build_object('id', new.id, 'seq', new.seq, 'source', new.source, 'type', new.type, 'subjectType', new.subject_type,
            'subjectId', new.subject_id, 'data', new.event_data)), new.id);
      end if;
    exception when others then
      raise warning 'Workflow % was not started by event %: %', w.id, new.id, sqlerrm;
    end;
  end loop;
  return null;
end $$`

const eventTriggers = [
  `create trigger c_workflows after insert on events for each row
    when (new.organization_id is not null) execute function sync.start_workflows_by_event()`,
]
