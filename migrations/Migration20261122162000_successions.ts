import { Migration } from '@mikro-orm/migrations'

/**
 * A memory has one successor: the first that comes, until that is deleted. And a frozen content goes only where an entry goes
 * that it was frozen from.
 */
export class Migration20261122162000_successions extends Migration {
  override up(): void {
    this.addSql(supersede(first))
    this.addSql(moveFrozen(ofItsEntry))
  }

  override down(): void {
    this.addSql(supersede(''))
    this.addSql(moveFrozen(''))
  }
}

const first = `
      and (m.superseded_by_id is null or exists (
        select from public.memories s where s.id = m.superseded_by_id and s.deleted_at is not null
      ))`

const supersede = (condition: string): string => `
create or replace function sync.compute_superseded() returns trigger language plpgsql as $$
begin
  if new.supersedes_id is not null then
    update public.memories m set superseded_by_id = new.id, status = 'superseded'
    where m.id = new.supersedes_id and (m.superseded_by_id, m.status) is distinct from (new.id, 'superseded')${condition};
  end if;
  return null;
end $$`

const ofItsEntry = `
    and organization_id = new.organization_id and revision < new.revision`

const moveFrozen = (condition: string): string => `
create or replace function sync.move_frozen_knowledge() returns trigger language plpgsql as $$
begin
  update public.knowledge_entries
  set scope = new.scope, project_id = new.project_id, team_id = new.team_id, user_id = new.user_id, agent_id = new.agent_id, deleted_at = new.deleted_at
  where id = new.previous_version_id and not is_current${condition};
  return null;
end $$`
