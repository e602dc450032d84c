import { Migration } from '@mikro-orm/migrations'

/**
 * A private project is found by its owner and its members in their own channels. Who its owner was, and whom it was shared
 * with while it was private, can no longer be told from the rows once that is over: the log says so, with entries like
 * those of guests who come and go (`Migration20261122010400_grants`), one for each who no longer finds it there.
 */
export class Migration20261122010800_former_guests extends Migration {
  override up(): void {
    this.addSql(logFormerGuests)
    for (const { event, when } of events) {
      this.addSql(
        `create trigger log_former_guests_${event} after ${event} on projects for each row ${when} execute function sync.log_former_guests()`,
      )
      this.addSql(`alter table projects enable always trigger log_former_guests_${event}`)
    }
  }

  override down(): void {
    for (const { event } of events) this.addSql(`drop trigger log_former_guests_${event} on projects`)
    this.addSql('drop function sync.log_former_guests()')
  }
}

/** Members of a project that is deleted for good are deleted with it, each with an entry of its own. */
const events = [
  {
    event: 'update',
    when: `when (old.channel = 'project/' || old.id and (new.channel <> old.channel or new.owner_user_id is distinct from old.owner_user_id))`,
  },
  { event: 'delete', when: `when (old.channel = 'project/' || old.id and old.owner_user_id is not null)` },
]

/** An owner has no row of its own to name the entry by: its id is made of both, so that two projects make two entries. */
const logFormerGuests = `
create function sync.log_former_guests() returns trigger language plpgsql as $$
declare
  is_shared_no_more boolean := tg_op = 'UPDATE' and old.channel <> new.channel;
begin
  insert into sync.pending_changes (organization_id, channel, old_channel, table_name, row_id, op)
  select old.organization_id, guest, 'project/' || old.id, 'project_members.grants', id, 'delete'
  from (
    select 'user/' || old.owner_user_id as guest, md5(old.id || '/' || old.owner_user_id)::uuid as id
    where old.owner_user_id is not null
    union all
    select coalesce('user/' || m.user_id, 'agent/' || m.agent_id, 'team/' || m.team_id), m.id
    from project_members m where is_shared_no_more and m.project_id = old.id and m.deleted_at is null
  ) former;
  perform sync.open_commit();
  return null;
end $$`
