import { Migration } from '@mikro-orm/migrations'

/**
 * The integrity check reads some logs before others, and `sync.ensure_partitions` locks them by name: each could wait for
 * the other. The check now waits for the lock by which those that make months take turns, before it reads anything.
 */
export class Migration20261122176200_integrity_in_turn extends Migration {
  override up(): void {
    this.addSql(inCheck(begins, inTurn))
  }

  override down(): void {
    this.addSql(inCheck(inTurn, begins))
  }
}

const begins = `begin
  looked_at := 'references';`

const inTurn = `begin
  -- Shared: two checks do not wait for each other.
  perform pg_advisory_xact_lock_shared(7165746965);
  looked_at := 'references';`

const inCheck = (before: string, after: string): string => `
do $$ begin
  execute replace(pg_get_functiondef('sync.check_integrity()'::regprocedure), $t$${before}$t$, $t$${after}$t$);
end $$`
