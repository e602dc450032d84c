import { Migration } from '@mikro-orm/migrations'

/**
 * A task that a claim assigned is for every agent again when it goes back to pending, however it got there: released, its lease
 * ran out, its run failed, or somebody opened it again. One that somebody assigned stays assigned.
 */
export class Migration20261122172000_pooled_tasks extends Migration {
  override up(): void {
    this.addSql('alter table "tasks" add column "assigned_by_claim" boolean not null default false;')
    this.addSql(inClaims(assigned, noted))
    this.addSql(computeTaskAssignment)
    this.addSql(
      `create trigger a_assignment_computed before update on tasks for each row
        when (old.assigned_by_claim) execute function sync.compute_task_assignment()`,
    )
  }

  override down(): void {
    this.addSql('drop trigger a_assignment_computed on tasks')
    this.addSql('drop function sync.compute_task_assignment()')
    this.addSql(inClaims(noted, assigned))
    this.addSql('alter table "tasks" drop column "assigned_by_claim";')
  }
}

const computeTaskAssignment = `
create function sync.compute_task_assignment() returns trigger language plpgsql as $$
begin
  if new.assigned_agent_id is distinct from old.assigned_agent_id then
    -- Somebody has decided since whose it is.
    new.assigned_by_claim := false;
  elsif new.status = 'pending' and old.status <> 'pending' then
    new.assigned_agent_id := null;
    new.assigned_by_claim := false;
  end if;
  return new;
end $$`

const assigned = `status = 'in_progress', assigned_agent_id = agent,`
const noted = `status = 'in_progress', assigned_by_claim = assigned_agent_id is null, assigned_agent_id = agent,`

const inClaims = (before: string, after: string): string => `
do $$ begin
  execute replace(pg_get_functiondef('sync.claim_next_task(uuid, uuid, interval, uuid[])'::regprocedure), $t$${before}$t$, $t$${after}$t$);
end $$`
