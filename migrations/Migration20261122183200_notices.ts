import { Migration } from '@mikro-orm/migrations'
import { noticeOfRun as formerNoticeOfRun } from './Migration20261122177500_closures_and_notices.ts'
import { inFunction } from './Migration20261122183000_kept_figures.ts'

/**
 * Notices to people: made in the transaction of what they tell, once, unless the person has switched the kind off. Every one goes through
 * `sync.notify`, and every kind is in `sync.notice_kinds`.
 */
export class Migration20261122183200_notices extends Migration {
  override up(): void {
    for (const statement of [noticeKinds, notify, noticeOfRun, ...functions]) this.addSql(statement)
    for (const [table, trigger] of triggers) this.addSql(`create trigger ${trigger.replace('ON_TABLE', `on ${table}`)}`)
    this.addSql(inFunction('sync.check_integrity()', ofNotices, ofOtherNotices))
  }

  override down(): void {
    this.addSql(inFunction('sync.check_integrity()', ofOtherNotices, ofNotices))
    for (const [table, trigger] of triggers) this.addSql(`drop trigger ${trigger.split(' ')[0]} on ${table}`)
    this.addSql(formerNoticeOfRun.replace('create function', 'create or replace function'))
    for (const name of [
      'notice_of_budget(uuid, text)',
      'notice_of_restore_test()',
      'notice_of_limit()',
      'notice_of_agent()',
      'notice_of_crash()',
      'notice_of_invitation()',
      'notice_of_workflow()',
      'notice_of_pipeline()',
      'notice_of_conflict()',
      'read_notices()',
      'notice_of_message()',
      'notice_of_task()',
      'notify(uuid, uuid, text, text, text, text, uuid, text)',
      'notice_kinds()',
    ])
      this.addSql(`drop function sync.${name}`)
  }
}

/** What a notice tells may end before it does. */
const ofNotices = `('notifications', 'subject_type', 'subject_id', 'r.deleted_at is null')`
const ofOtherNotices = `('notifications', 'subject_type', 'subject_id', 'r.deleted_at is null and r.kind not in (select k.kind from sync.notice_kinds() k)')`

/** \`also_to_author\`: also to whoever's own write has led to it. */
const noticeKinds = `
create function sync.notice_kinds() returns table (kind text, severity text, also_to_author boolean) language sql immutable as $$
  values
    ('agent.budget_reached', 'warning', true),
    ('agent.crashed', 'warning', true),
    ('agent.failed', 'error', true),
    ('conflict.opened', 'warning', true),
    ('conversation.mention', 'info', false),
    ('conversation.message', 'info', false),
    ('credential.limit_reached', 'warning', true),
    ('invitation.accepted', 'info', false),
    ('pipeline.approval_waiting', 'warning', true),
    ('pipeline.failed', 'error', true),
    ('pipeline.gate_failed', 'warning', true),
    ('restore_test.failed', 'critical', true),
    ('task.assigned', 'info', false),
    ('workflow.failed', 'error', true)
$$`

/**
 * One notice: \`once\` tells it from others of the kind for the person. None for who has left, who has switched the kind off, and who has a
 * hundred of them unread.
 */
const notify = `
create function sync.notify(organization uuid, person uuid, of_kind text, words text, more text, subject text, subject_id uuid, once text)
returns void language plpgsql as $$
declare
  rule record;
begin
  select * into strict rule from sync.notice_kinds() k where k.kind = of_kind;
  if person is null or (not rule.also_to_author and person::text = current_setting('app.user_id', true)) then return; end if;
  insert into public.notifications (id, organization_id, user_id, kind, severity, title, body, subject_type, subject_id)
  select sync.uuid_from_key('notifications', array[organization::text, person::text, of_kind, once]), organization, person, of_kind, rule.severity,
    left(words, 255), left(more, 2000), subject, notify.subject_id
  where exists (
    select from public.organization_members m join public.users u on u.id = m.user_id
    where m.organization_id = organization and m.user_id = person and m.status = 'active' and m.deleted_at is null
      and u.status = 'active' and u.deleted_at is null
  ) and not exists (
    select from public.user_preferences p
    where p.organization_id = organization and p.user_id = person and p.category = 'notifications' and p.key = of_kind and p.value = 'false'
      and p.deleted_at is null
  ) and (
    select count(*) from (
      select from public.notifications n where n.user_id = person and n.read_at is null and n.kind = of_kind and n.deleted_at is null limit 100
    ) unread
  ) < 100
  on conflict (id) do nothing;
end $$`

/** To the owner and the admins of the project, who may approve the step or waive the gate. */
const noticeOfRun = `
create or replace function sync.notice_of_run() returns trigger language plpgsql as $$
declare
  execution uuid := case tg_table_name when 'pipeline_executions' then new.id else (to_jsonb(new) ->> 'execution_id')::uuid end;
begin
  if tg_table_name = 'pipeline_step_executions' and not exists (
    select from public.pipeline_steps s where s.id = (to_jsonb(new) ->> 'step_id')::uuid and s.kind = 'approval'
  ) then return null; end if;
  perform sync.notify(e.organization_id, u.id,
    case tg_table_name when 'pipeline_executions' then 'pipeline.gate_failed' else 'pipeline.approval_waiting' end,
    case tg_table_name when 'pipeline_executions' then format('Run %s of %s is blocked by a gate', e.run_number, p.name)
      else format('Run %s of %s waits for approval', e.run_number, p.name) end,
    case tg_table_name when 'pipeline_executions' then e.error_message else to_jsonb(new) ->> 'step_name' end,
    'pipeline_execution', e.id, new.id || ':' || new.version)
  from public.pipeline_executions e join public.pipelines p on p.id = e.pipeline_id join public.projects j on j.id = e.project_id
  join public.users u on u.id = j.owner_user_id or exists (
    select from public.project_members m where m.project_id = j.id and m.user_id = u.id and m.role in ('owner', 'admin') and m.deleted_at is null
  )
  where e.id = execution;
  return null;
end $$`

const ofTrigger = (name: string, body: string, declared = ''): string => `
create function sync.${name}() returns trigger language plpgsql as $$
${declared}begin
${body}
  return null;
end $$`

const functions = [
  ofTrigger(
    'notice_of_task',
    `  perform sync.notify(new.organization_id, new.assigned_user_id, 'task.assigned', format('%s is yours', new.title), null, 'task', new.id,
    new.id || ':' || new.version);`,
  ),
  // One that is unread stands for all that come after it, until the person has read on.
  ofTrigger(
    'notice_of_message',
    `  for other in
    select p.user_id as person, p.is_muted, coalesce(c.title, 'A conversation') as title,
      jsonb_typeof(new.metadata -> 'mentions') = 'array' and new.metadata -> 'mentions' @> to_jsonb(p.user_id::text) as is_mentioned
    from public.conversation_participants p join public.conversations c on c.id = p.conversation_id
    where p.conversation_id = new.conversation_id and p.user_id is not null and p.deleted_at is null
      and p.user_id is distinct from new.sender_user_id and p.user_id is distinct from new.created_by_user_id
    order by p.user_id limit 200
  loop
    if other.is_mentioned then
      perform sync.notify(new.organization_id, other.person, 'conversation.mention', format('You are mentioned in %s', other.title),
        left(new.content, 200), 'conversation', new.conversation_id, new.id::text);
    elsif not other.is_muted and not exists (
      select from public.notifications n
      where n.user_id = other.person and n.read_at is null and n.kind = 'conversation.message' and n.subject_id = new.conversation_id
        and n.dismissed_at is null and n.deleted_at is null
    ) then
      perform sync.notify(new.organization_id, other.person, 'conversation.message', format('News in %s', other.title),
        left(new.content, 200), 'conversation', new.conversation_id, new.id::text);
    end if;
  end loop;`,
    'declare\n  other record;\n',
  ),
  ofTrigger(
    'read_notices',
    `  update public.notifications set read_at = date_trunc('milliseconds', now())
  where user_id = new.user_id and read_at is null and subject_id = new.conversation_id
    and kind in ('conversation.message', 'conversation.mention') and deleted_at is null;`,
  ),
  ofTrigger(
    'notice_of_conflict',
    `  perform sync.notify(new.organization_id, coalesce(new.user_id, (select owner_user_id from public.agents where id = new.agent_id)),
    'conflict.opened', format('A write to %s lost to another one', new.table_name), null, 'sync_conflict', new.id, new.id::text);`,
  ),
  ofTrigger(
    'notice_of_pipeline',
    `  perform sync.notify(new.organization_id,
    coalesce(new.triggered_by_user_id, (select owner_user_id from public.agents where id = new.triggered_by_agent_id), j.owner_user_id),
    'pipeline.failed', format('Run %s of %s %s', new.run_number, p.name, case new.status when 'failed' then 'has failed' else 'took too long' end),
    new.error_message, 'pipeline_execution', new.id, new.id || ':' || new.version)
  from public.pipelines p join public.projects j on j.id = p.project_id where p.id = new.pipeline_id;`,
  ),
  ofTrigger(
    'notice_of_workflow',
    `  perform sync.notify(new.organization_id,
    coalesce(w.created_by_user_id, (select owner_user_id from public.projects where id = new.project_id)), 'workflow.failed',
    format('A run of %s %s', w.name, case new.status when 'failed' then 'has failed' else 'took too long' end),
    new.error_message, 'workflow_run', new.id, new.id || ':' || new.version)
  from public.workflows w where w.id = new.workflow_id;`,
  ),
  ofTrigger(
    'notice_of_invitation',
    `  perform sync.notify(new.organization_id, new.invited_by_user_id, 'invitation.accepted', format('%s has joined', new.email), null, null, null,
    new.id::text);`,
  ),
  ofTrigger(
    'notice_of_crash',
    `  perform sync.notify(new.organization_id, a.owner_user_id, 'agent.crashed', format('A process of %s has crashed', a.name), new.exit_reason,
    'agent', a.id, new.id::text)
  from public.agents a where a.id = new.agent_id;`,
  ),
  ofTrigger(
    'notice_of_agent',
    `  perform sync.notify(new.organization_id, a.owner_user_id, 'agent.failed', format('%s has failed', a.name), coalesce(new.message, new.event_type),
    'agent', a.id, new.id::text)
  from public.agents a where a.id = new.agent_id and not exists (
    select from public.notifications n
    where n.user_id = a.owner_user_id and n.read_at is null and n.kind = 'agent.failed' and n.subject_id = a.id
      and n.dismissed_at is null and n.deleted_at is null
  );`,
  ),
  ofTrigger(
    'notice_of_limit',
    `  perform sync.notify(new.organization_id, person, 'credential.limit_reached',
    format('The spend limit of %s (%s) is reached', new.details ->> 'provider', new.details ->> 'label'),
    format('%s of %s USD this month', new.details ->> 'spentUsd', new.details ->> 'limitUsd'), null, null,
    new.row_id || ':' || to_char(new.occurred_at at time zone 'UTC', 'YYYY-MM'))
  from (
    select (new.details ->> 'userId')::uuid as person where new.details ->> 'userId' is not null
    union all
    select m.user_id from public.organization_members m
    where new.details ->> 'userId' is null and m.organization_id = new.organization_id and m.role in ('owner', 'admin') and m.deleted_at is null
  ) people;`,
  ),
  // To the admins of the system; where there are none, to the owners.
  ofTrigger(
    'notice_of_restore_test',
    `  perform sync.notify(m.organization_id, m.user_id, 'restore_test.failed', 'The restore test of the backup failed', new.error_message, null, null,
    new.id::text)
  from public.organization_members m join public.users u on u.id = m.user_id
  where m.deleted_at is null and case
    when exists (select from public.users where is_system_admin and status = 'active' and deleted_at is null) then u.is_system_admin
    else m.role = 'owner' end;`,
  ),
  `create function sync.notice_of_budget(agent uuid, reason text) returns void language sql as $$
  select sync.notify(a.organization_id, a.owner_user_id, 'agent.budget_reached', format('%s has used up its budget', a.name), reason, 'agent', a.id,
    a.id || ':' || to_char(now() at time zone 'UTC', 'YYYY-MM-DD'))
  from public.agents a where a.id = agent
$$`,
]

const triggers: readonly (readonly [table: string, trigger: string])[] = [
  [
    'tasks',
    `f_notice_insert after insert ON_TABLE for each row
    when (new.assigned_user_id is not null and new.deleted_at is null) execute function sync.notice_of_task()`,
  ],
  [
    'tasks',
    `f_notice_update after update of assigned_user_id ON_TABLE for each row
    when (new.assigned_user_id is not null and new.assigned_user_id is distinct from old.assigned_user_id and new.deleted_at is null)
    execute function sync.notice_of_task()`,
  ],
  [
    'messages',
    `f_notice after insert ON_TABLE for each row
    when (new.role in ('user', 'assistant', 'agent') and new.deleted_at is null) execute function sync.notice_of_message()`,
  ],
  [
    'conversation_participants',
    `f_notices_read after update of last_read_position ON_TABLE for each row
    when (new.user_id is not null and new.last_read_position > old.last_read_position) execute function sync.read_notices()`,
  ],
  [
    'sync_conflicts',
    `f_notice after insert ON_TABLE for each row when (new.status = 'open') execute function sync.notice_of_conflict()`,
  ],
  [
    'pipeline_executions',
    `f_notice after update of status ON_TABLE for each row
    when (new.status in ('failed', 'timed_out') and old.status is distinct from new.status and new.gate_status <> 'failed')
    execute function sync.notice_of_pipeline()`,
  ],
  [
    'workflow_runs',
    `f_notice after update of status ON_TABLE for each row
    when (new.status in ('failed', 'timed_out') and old.status is distinct from new.status) execute function sync.notice_of_workflow()`,
  ],
  [
    'sync.invitations',
    `f_notice after update of accepted_at ON_TABLE for each row
    when (new.accepted_at is not null and old.accepted_at is null) execute function sync.notice_of_invitation()`,
  ],
  [
    'agent_instances',
    `f_notice after update of status ON_TABLE for each row
    when (new.status = 'crashed' and old.status <> 'crashed') execute function sync.notice_of_crash()`,
  ],
  [
    'agent_events',
    `f_notice after insert ON_TABLE for each row
    when (new.severity in ('error', 'critical') and new.agent_id is not null and new.event_type <> 'instance.crashed') execute function sync.notice_of_agent()`,
  ],
  [
    'audit_logs',
    `f_notice after insert ON_TABLE for each row
    when (new.action = 'credential.read' and new.outcome = 'denied' and new.details ? 'spentUsd') execute function sync.notice_of_limit()`,
  ],
  [
    'backup_runs',
    `f_notice after update of status ON_TABLE for each row
    when (new.kind = 'restore_test' and new.status = 'failed' and old.status <> 'failed') execute function sync.notice_of_restore_test()`,
  ],
]
