import { Migration } from '@mikro-orm/migrations'

/** A task with a `timeout_seconds` is held no longer than that in one attempt; the sweep ends the attempt. */
export class Migration20261122178400_task_timeouts extends Migration {
  override up(): void {
    this.addSql(inClaims(untilLease, untilTimeout))
  }

  override down(): void {
    this.addSql(inClaims(untilTimeout, untilLease))
  }
}

const untilLease = 'clock_timestamp() + lease)'
const untilTimeout = 'clock_timestamp() + least(lease, make_interval(secs => timeout_seconds)))'

const inClaims = (before: string, after: string): string => `
do $$ begin
  execute replace(pg_get_functiondef('sync.claim_next_task(uuid, uuid, interval, uuid[])'::regprocedure), $t$${before}$t$, $t$${after}$t$);
end $$`
