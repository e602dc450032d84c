import { Migration } from '@mikro-orm/migrations'
import { ensureEpochByStart } from './Migration20261122135000_epochs.ts'

/**
 * A dump brings the change log of its cluster along. In another cluster the transactions that it names are still to come, so that
 * no snapshot sees them, and its places in the WAL say nothing. No cursor needs that log, because the epoch is another one.
 *
 * `restored`: the log was forgotten, and no slot has been made since: that there is none is no gap.
 */
export class Migration20261122180100_foreign_logs extends Migration {
  override up(): void {
    this.addSql('alter table sync.settings add column restored boolean not null default false')
    this.addSql(forgetLog)
    this.addSql(ensureEpoch)
  }

  override down(): void {
    this.addSql(ensureEpochByStart)
    this.addSql('drop function sync.forget_log()')
    this.addSql('alter table sync.settings drop column restored')
  }
}

const forgetLog = `
create function sync.forget_log() returns void language plpgsql as $$
begin
  -- Nobody serves this database yet; who reads it all the same is not waited for without an end.
  set local lock_timeout = '10s';
  truncate public.sync_changes, sync.big_commits, sync.spilled_changes;
  delete from public.sync_capture;
  delete from sync.former_epochs;
  update public.sync_heads set pruned_through_seq = 0, updated_at = now() where id = 1;
  update sync.settings set restored = true;
end $$`

const minted = `    where id = 1;
  elsif`
const ensureEpoch = ensureEpochByStart.replace(
  minted,
  `    where id = 1;
    if head.system_identifier <> system then
      perform sync.forget_log();
    end if;
  elsif`,
)
