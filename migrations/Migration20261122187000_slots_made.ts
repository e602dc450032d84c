import { Migration } from '@mikro-orm/migrations'

/**
 * What remains known of a slot when whoever makes it dies, and when somebody else makes it.
 *
 * `slot_pending`: a slot is being made, and what was committed before it may be in no log. Committed before the old slot goes, and taken back
 * with the epoch that answers for the gap: between the two a slot that looks well proves nothing.
 *
 * `captured_through`: everything before this place in the WAL is in the log, as the writer said at its last beat. A slot never keeps less than from
 * there, so one that does is another slot of the same name.
 */
export class Migration20261122187000_slots_made extends Migration {
  override up(): void {
    this.addSql('alter table sync.settings add column slot_pending boolean not null default false')
    this.addSql('alter table sync_capture add column captured_through bigint')
  }

  override down(): void {
    this.addSql('alter table sync_capture drop column captured_through')
    this.addSql('alter table sync.settings drop column slot_pending')
  }
}
