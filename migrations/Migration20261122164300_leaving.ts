import { Migration } from '@mikro-orm/migrations'

/** What the log of changes may go on saying of somebody who was anonymised: that something changed, and not into what. */
export class Migration20261122164300_leaving extends Migration {
  override up(): void {
    this.addSql(`
create function sync.without_person(image jsonb) returns jsonb language sql immutable as $$
  select image - array['email', 'name', 'display_name', 'avatar_url', 'locale', 'timezone', 'ip_address', 'user_agent', 'account_label', 'label', 'last_four']
$$`)
  }

  override down(): void {
    this.addSql('drop function sync.without_person(jsonb)')
  }
}
