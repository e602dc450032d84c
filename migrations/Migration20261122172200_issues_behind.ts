import { Migration } from '@mikro-orm/migrations'

/**
 * A linked issue hears of its task also after a push was given up. Changes are queued while the integration is in `error`; what was
 * given up is remembered, and queued again when the platform answers. One push waits per link, since it says how the task is then.
 */
export class Migration20261122172200_issues_behind extends Migration {
  override up(): void {
    for (const statement of [...queue, queueIssue, queueIssuesBehind, computeLinkedIssues, seedIssuesBehind])
      this.addSql(statement)
  }

  override down(): void {
    this.addSql(formerComputeLinkedIssues)
    this.addSql('drop function sync.queue_issues_behind(uuid, boolean)')
    this.addSql('drop function sync.queue_issue(uuid)')
    this.addSql('drop table sync.issues_behind')
    this.addSql('alter table sync.integration_queue drop column link_id')
  }
}

const queue = [
  'alter table sync.integration_queue add column link_id uuid',
  'create index integration_queue_waiting_idx on sync.integration_queue (link_id) where link_id is not null and attempts = 0',
  /** Links whose last push was given up; `refused`: the platform answered that it will not take it. */
  `
create table sync.issues_behind (
  link_id uuid primary key references public.external_links on delete cascade,
  integration_id uuid not null references public.integrations on delete cascade,
  refused boolean not null
)`,
  'create index issues_behind_integration_id_idx on sync.issues_behind (integration_id)',
]

const queueIssue = `
create function sync.queue_issue(link uuid) returns void language plpgsql as $$
declare
  event uuid := sync.uuid_v7();
  at timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
  delete from sync.issues_behind where link_id = link;
  -- Locked until this transaction commits, so that nobody begins that push before and misses what is changed here.
  perform from sync.integration_queue where link_id = link and attempts = 0 for update skip locked;
  if found then return; end if;
  insert into public.integration_events (id, occurred_at, organization_id, integration_id, project_id, direction, provider, event_type, external_id, payload)
  select event, at, l.organization_id, i.id, i.project_id, 'outbound', i.provider, 'issue.update', l.external_id, jsonb_build_object('linkId', l.id, 'taskId', l.local_id)
  from public.external_links l join public.integrations i on i.id = l.integration_id where l.id = link;
  insert into sync.integration_queue (event_id, event_at, integration_id, direction, link_id)
  select event, at, integration_id, 'outbound', link from public.external_links where id = link;
end $$`

/** For a platform that answers again; what it refused only when asked to, since it would refuse it again. Returns how many links. */
const queueIssuesBehind = `
create function sync.queue_issues_behind(integration uuid, with_refused boolean) returns bigint language sql as $$
  select count(sync.queue_issue(b.link_id))
  from (
    select b.link_id from sync.issues_behind b join public.external_links l on l.id = b.link_id
    where b.integration_id = integration and (with_refused or not b.refused) and l.deleted_at is null order by b.link_id
  ) b
$$`

/** What changes on a task that is linked to an issue goes to that; what came from there does not go back. */
export const computeLinkedIssues = `
create or replace function sync.compute_linked_issues() returns trigger language plpgsql as $$
begin
  perform sync.queue_issue(l.id)
  from public.external_links l join public.integrations i on i.id = l.integration_id
  where l.local_type = 'task' and l.local_id = new.id and l.external_type = 'issue' and l.deleted_at is null and l.sync_direction in ('push', 'both')
    and i.status in ('active', 'error') and i.deleted_at is null and i.credential_id is not null and i.provider in ('github', 'linear')
    and i.id::text is distinct from nullif(current_setting('app.integration_id', true), '');
  return null;
end $$`

/** Changes that were made while nothing was queued. */
const seedIssuesBehind = `
insert into sync.issues_behind (link_id, integration_id, refused)
select l.id, i.id, false
from public.external_links l join public.integrations i on i.id = l.integration_id join public.tasks t on t.id = l.local_id
where l.local_type = 'task' and l.external_type = 'issue' and l.deleted_at is null and l.sync_direction in ('push', 'both')
  and i.status = 'error' and i.deleted_at is null and i.provider in ('github', 'linear') and l.last_local_version is distinct from t.version`

const formerComputeLinkedIssues = `
create or replace function sync.compute_linked_issues() returns trigger language plpgsql as $$
declare
  link record;
  event uuid;
  at timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
  for link in
    select l.id, l.external_id, i.id as integration, i.provider, i.project_id
    from public.external_links l join public.integrations i on i.id = l.integration_id
    where l.local_type = 'task' and l.local_id = new.id and l.external_type = 'issue' and l.deleted_at is null and l.sync_direction in ('push', 'both')
      and i.status = 'active' and i.deleted_at is null and i.credential_id is not null and i.provider in ('github', 'linear')
      and i.id::text is distinct from nullif(current_setting('app.integration_id', true), '')
  loop
    event := sync.uuid_v7();
    insert into public.integration_events (id, occurred_at, organization_id, integration_id, project_id, direction, provider, event_type, external_id, payload)
    values (event, at, new.organization_id, link.integration, link.project_id, 'outbound', link.provider, 'issue.update', link.external_id,
      jsonb_build_object('linkId', link.id, 'taskId', new.id));
    insert into sync.integration_queue (event_id, event_at, integration_id, direction) values (event, at, link.integration, 'outbound');
  end loop;
  return null;
end $$`
