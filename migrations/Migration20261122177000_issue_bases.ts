import { Migration } from '@mikro-orm/migrations'
import { computeLinkedIssues as formerComputeLinkedIssues } from './Migration20261122172200_issues_behind.ts'

/** What a task and its issue last agreed on, so that a change of one side does not overwrite a change of the other. */
export class Migration20261122177000_issue_bases extends Migration {
  override up(): void {
    for (const statement of [table, organizationIndex, computeLinkedIssues, seedBases]) this.addSql(statement)
  }

  override down(): void {
    this.addSql(formerComputeLinkedIssues)
    this.addSql('drop table sync.issue_bases')
  }
}

/**
 * `local`: the columns of the task, `remote`: the fields of the issue, as they were when both last said the same. A column that is not in
 * `local` was changed at an unknown time. `sending`: what a push on its way says. `past`: digests of what the platform was told before.
 * Not in `external_links`, which everybody in the organization follows: the task may be of a private project.
 */
const table = `
create table sync.issue_bases (
  link_id uuid primary key references public.external_links on delete cascade,
  organization_id uuid not null references public.organizations on delete cascade,
  task_id uuid not null,
  local jsonb not null default '{}',
  remote jsonb not null default '{}',
  sending jsonb,
  past jsonb not null default '[]',
  conflict_id uuid
)`

const organizationIndex = 'create index issue_bases_organization_id_idx on sync.issue_bases (organization_id)'

/** The first change of a task that is linked leaves behind how the task was before. */
const computeLinkedIssues = `
create or replace function sync.compute_linked_issues() returns trigger language plpgsql as $$
begin
  insert into sync.issue_bases as b (link_id, organization_id, task_id, local)
  select l.id, l.organization_id, new.id, jsonb_build_object('title', old.title, 'description', old.description, 'status', old.status)
  from public.external_links l
  where l.local_type = 'task' and l.local_id = new.id and l.external_type = 'issue' and l.deleted_at is null
    and l.integration_id::text is distinct from nullif(current_setting('app.integration_id', true), '')
  on conflict (link_id) do update set task_id = excluded.task_id, local = excluded.local, remote = '{}', sending = null, past = '[]', conflict_id = null
    where b.task_id <> excluded.task_id;
  perform sync.queue_issue(l.id)
  from public.external_links l join public.integrations i on i.id = l.integration_id
  where l.local_type = 'task' and l.local_id = new.id and l.external_type = 'issue' and l.deleted_at is null and l.sync_direction in ('push', 'both')
    and i.status in ('active', 'error') and i.deleted_at is null and i.credential_id is not null and i.provider in ('github', 'linear')
    and i.id::text is distinct from nullif(current_setting('app.integration_id', true), '');
  return null;
end $$`

/** Of links whose push waits nobody knows any more which columns were changed. */
const seedBases = `
insert into sync.issue_bases (link_id, organization_id, task_id)
select l.id, l.organization_id, l.local_id from public.external_links l
where l.local_type = 'task' and l.external_type = 'issue' and (
  exists (select from sync.issues_behind b where b.link_id = l.id) or exists (select from sync.integration_queue q where q.link_id = l.id)
)`
