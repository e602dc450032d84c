import { Migration } from '@mikro-orm/migrations'

/** Where a project is to be taken up again: when the task that is under way loses whoever worked on it, its state says so. */
export class Migration20261122100400_recovering extends Migration {
  override up(): void {
    this.addSql(computeProjectState)
    this.addSql(
      `create trigger d_state_computed after update of status on tasks for each row
        when (old.status = 'in_progress' and new.status in ('pending', 'failed') and old.lease_expires_at is not null)
        execute function sync.compute_project_state()`,
    )
  }

  override down(): void {
    this.addSql('drop trigger d_state_computed on tasks')
    this.addSql('drop function sync.compute_project_state()')
  }
}

/** A task that is given back in order has a lease that runs; one whose holder is gone has not. */
const computeProjectState = `
create function sync.compute_project_state() returns trigger language plpgsql as $$
begin
  if old.lease_expires_at < clock_timestamp() then
    update public.project_states set status = 'recovering'
    where project_id = new.project_id and current_task_id = new.id and status = 'active' and deleted_at is null;
  end if;
  return null;
end $$`
