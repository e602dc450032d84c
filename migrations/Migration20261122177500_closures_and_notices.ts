import { Migration } from '@mikro-orm/migrations'

/** A project that is closed says why, and where its archive is; and who may decide hears of a run that waits for people. */
export class Migration20261122177500_closures_and_notices extends Migration {
  override up(): void {
    for (const [before, after] of changes) this.addSql(inCloseProject(before, after))
    for (const statement of [noticeOfRun, ...triggers]) this.addSql(statement)
  }

  override down(): void {
    this.addSql('drop trigger c_approval_notice on pipeline_step_executions')
    this.addSql('drop trigger c_gate_notice on pipeline_executions')
    this.addSql('drop function sync.notice_of_run()')
    for (const [before, after] of changes) this.addSql(inCloseProject(after, before))
  }
}

/** \`app.closure\`: what the action \`projects.close\` was told. */
const changes = [
  [
    'closed_by_user_id, closed_by_label, closed_at, origin_device_id\n',
    'closed_by_user_id, closed_by_label, closed_at, origin_device_id, reason, archive_path, archive_sha256, metadata\n',
  ],
  [
    `nullif(current_setting('app.device_id', true), '')::uuid\n  );`,
    `nullif(current_setting('app.device_id', true), '')::uuid,
    told ->> 'reason', told ->> 'archivePath', decode(told ->> 'archiveSha256', 'hex'), coalesce(told -> 'metadata', '{}')\n  );`,
  ],
  [
    `ended timestamptz := case`,
    `told jsonb := nullif(current_setting('app.closure', true), '')::jsonb;
  ended timestamptz := case`,
  ],
] as const

const inCloseProject = (before: string, after: string): string => `
do $$ begin
  if position($t$${before}$t$ in pg_get_functiondef('sync.close_project()'::regprocedure)) = 0 then
    raise exception 'sync.close_project() is not as it was expected.';
  end if;
  execute replace(pg_get_functiondef('sync.close_project()'::regprocedure), $t$${before}$t$, $t$${after}$t$);
end $$`

/** To the owner and the admins of the project, who may approve the step or waive the gate. */
export const noticeOfRun = `
create function sync.notice_of_run() returns trigger language plpgsql as $$
declare
  execution uuid := case tg_table_name when 'pipeline_executions' then new.id else (to_jsonb(new) ->> 'execution_id')::uuid end;
begin
  if tg_table_name = 'pipeline_step_executions' and not exists (
    select from public.pipeline_steps s where s.id = (to_jsonb(new) ->> 'step_id')::uuid and s.kind = 'approval'
  ) then return null; end if;
  insert into public.notifications (organization_id, user_id, kind, severity, title, body, subject_type, subject_id)
  select distinct on (u.id) e.organization_id, u.id,
    case tg_table_name when 'pipeline_executions' then 'pipeline.gate_failed' else 'pipeline.approval_waiting' end, 'warning',
    left(case tg_table_name when 'pipeline_executions' then format('Run %s of %s is blocked by a gate', e.run_number, p.name)
      else format('Run %s of %s waits for approval', e.run_number, p.name) end, 255),
    case tg_table_name when 'pipeline_executions' then e.error_message else to_jsonb(new) ->> 'step_name' end, 'pipeline_execution', e.id
  from public.pipeline_executions e join public.pipelines p on p.id = e.pipeline_id join public.projects j on j.id = e.project_id
  join public.users u on u.deleted_at is null and u.status = 'active' and (u.id = j.owner_user_id or exists (
    select from public.project_members m where m.project_id = j.id and m.user_id = u.id and m.role in ('owner', 'admin') and m.deleted_at is null
  ))
  where e.id = execution
  order by u.id;
  return null;
end $$`

const triggers = [
  `create trigger c_approval_notice after update of status on pipeline_step_executions for each row
    when (new.status = 'queued' and old.status = 'pending') execute function sync.notice_of_run()`,
  // The message is there when the run ends.
  `create trigger c_gate_notice after update of status on pipeline_executions for each row
    when (new.status = 'failed' and old.status <> 'failed' and new.gate_status = 'failed') execute function sync.notice_of_run()`,
]
