import { Migration } from '@mikro-orm/migrations'
import { inFunction } from './Migration20261122183000_kept_figures.ts'

/**
 * What other platforms tell of branches: which are protected, by rules that also count for branches that come later. And a task that changes
 * while its integration is paused is behind its issue, which hears of it when the integration goes on.
 */
export class Migration20261122183300_told_by_platforms extends Migration {
  override up(): void {
    this.addSql(branchRules)
    this.addSql(inFunction('sync.compute_linked_issues()', 'begin', `begin${notePaused}`))
  }

  override down(): void {
    this.addSql(inFunction('sync.compute_linked_issues()', `begin${notePaused}`, 'begin'))
    this.addSql('drop table sync.branch_rules')
  }
}

/** `matches`: a regular expression that stands for the pattern of the rule. */
const branchRules = `
create table sync.branch_rules (
  repository_id uuid not null references public.repositories on delete cascade,
  external_id text not null,
  matches text not null,
  primary key (repository_id, external_id)
)`

const notePaused = `
  insert into sync.issues_behind (link_id, integration_id, refused)
  select l.id, i.id, false
  from public.external_links l join public.integrations i on i.id = l.integration_id
  where l.local_type = 'task' and l.local_id = new.id and l.external_type = 'issue' and l.deleted_at is null and l.sync_direction in ('push', 'both')
    and i.status = 'paused' and i.deleted_at is null and i.provider in ('github', 'linear')
    and i.id::text is distinct from nullif(current_setting('app.integration_id', true), '')
  on conflict (link_id) do update set refused = false;`
