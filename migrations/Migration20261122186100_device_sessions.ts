import { Migration } from '@mikro-orm/migrations'

/** A device that is revoked, by whatever way, ends the sessions that were last used on it: with them another device could be registered. */
export class Migration20261122186100_device_sessions extends Migration {
  override up(): void {
    this.addSql(endSessions)
    this.addSql(`
create trigger z_sessions after update of revoked_at on devices for each row
when (old.revoked_at is null and new.revoked_at is not null) execute function sync.end_device_sessions()`)
    this.addSql('select sync.secure()')
  }

  override down(): void {
    this.addSql('drop trigger z_sessions on devices')
    this.addSql('drop function sync.end_device_sessions()')
  }
}

/** Writers may end a device, and know nothing of sessions. */
const endSessions = `
create function sync.end_device_sessions() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update public.auth_sessions s set revoked_at = now(), revoke_reason = 'device revoked', updated_at = now()
  where s.device_id = new.id and s.revoked_at is null;
  return null;
end $$`
