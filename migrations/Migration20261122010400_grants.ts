import { Migration } from '@mikro-orm/migrations'

/**
 * When somebody becomes a guest of a conversation or a project, or is one no longer, everything in it comes or goes for
 * them: the log says so in an entry of its own, for from the key of the participant's row alone it could not be told
 * whether they had just come or only read a message.
 *
 *     table_name 'conversation_participants.grants' · channel 'user/<guest>' · old_channel 'conversation/<id>' · op upsert | delete
 */
export class Migration20261122010400_grants extends Migration {
  override up(): void {
    this.addSql(logGrant)
    for (const { table, kind } of granted) {
      for (const { event, when } of events) {
        this.addSql(
          `create trigger log_grant_${event} after ${event} on ${table} for each row ${when} execute function sync.log_grant('${kind}')`,
        )
        this.addSql(`alter table ${table} enable always trigger log_grant_${event}`)
      }
    }
  }

  override down(): void {
    for (const { table } of granted)
      for (const { event } of events) this.addSql(`drop trigger log_grant_${event} on ${table}`)
    this.addSql('drop function sync.log_grant()')
  }
}

const granted = [
  { table: 'conversation_participants', kind: 'conversation' },
  { table: 'project_members', kind: 'project' },
]

const events = [
  { event: 'insert', when: 'when (new.deleted_at is null)' },
  { event: 'update', when: 'when (old.deleted_at is distinct from new.deleted_at)' },
  { event: 'delete', when: 'when (old.deleted_at is null)' },
]

const logGrant = `
create function sync.log_grant() returns trigger language plpgsql as $$
declare
  guest jsonb := to_jsonb(case tg_op when 'DELETE' then old else new end);
begin
  insert into sync.pending_changes (organization_id, channel, old_channel, table_name, row_id, op)
  values (
    (guest->>'organization_id')::uuid,
    coalesce('user/' || (guest->>'user_id'), 'agent/' || (guest->>'agent_id'), 'team/' || (guest->>'team_id')),
    tg_argv[0] || '/' || (guest->>(tg_argv[0] || '_id')),
    tg_table_name || '.grants',
    (guest->>'id')::uuid,
    case when tg_op = 'DELETE' or guest->>'deleted_at' is not null then 'delete' else 'upsert' end
  );
  perform sync.open_commit();
  return null;
end $$`
