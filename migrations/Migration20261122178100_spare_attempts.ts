import { Migration } from '@mikro-orm/migrations'

/**
 * No attempt is used up by a task that is given back or blocked on purpose, and a pending task always has one left: without one nobody
 * could claim it, and it would be ready for ever.
 */
export class Migration20261122178100_spare_attempts extends Migration {
  override up(): void {
    this.addSql(inFunction(endAttempt, attemptEnds, `${attemptEnds}\n    ${leaseEnds}`))
    for (const statement of [computeGivenBack, computeSpareAttempt, ...triggers]) this.addSql(statement)
    this.addSql(
      `update public.tasks set attempt_count = max_attempts - 1 where status = 'pending' and attempt_count >= max_attempts`,
    )
  }

  override down(): void {
    for (const name of ['a_spare_attempt_insert', 'a_spare_attempt_update', 'a_given_back_computed'])
      this.addSql(`drop trigger ${name} on tasks`)
    this.addSql('drop function sync.compute_spare_attempt()')
    this.addSql('drop function sync.compute_given_back()')
    this.addSql(inFunction(endAttempt, `${attemptEnds}\n    ${leaseEnds}`, attemptEnds))
  }
}

const endAttempt = 'sync.end_attempt(uuid, boolean)'
const attemptEnds = `update public.tasks set`
/** By this the trigger below tells an attempt that is over from one that is given back. */
const leaseEnds = 'lease_expires_at = null, claimed_by_instance_id = null,'

const computeGivenBack = `
create function sync.compute_given_back() returns trigger language plpgsql as $$
begin
  if new.lease_expires_at > clock_timestamp() then new.attempt_count := greatest(old.attempt_count - 1, 0); end if;
  return new;
end $$`

const computeSpareAttempt = `
create function sync.compute_spare_attempt() returns trigger language plpgsql as $$
begin
  new.attempt_count := new.max_attempts - 1;
  return new;
end $$`

/** By their names they run in this order, and `a_reopened_computed`, which gives all attempts, between them. */
const triggers = [
  `create trigger a_given_back_computed before update on tasks for each row
    when (old.status = 'in_progress' and new.status in ('pending', 'blocked') and new.attempt_count = old.attempt_count and new.lease_expires_at is not null)
    execute function sync.compute_given_back()`,
  `create trigger a_spare_attempt_insert before insert on tasks for each row
    when (new.status = 'pending' and new.attempt_count >= new.max_attempts) execute function sync.compute_spare_attempt()`,
  `create trigger a_spare_attempt_update before update on tasks for each row
    when (new.status = 'pending' and new.attempt_count >= new.max_attempts) execute function sync.compute_spare_attempt()`,
]

const inFunction = (name: string, before: string, after: string): string => `
do $$ begin
  execute replace(pg_get_functiondef('${name}'::regprocedure), $t$${before}$t$, $t$${after}$t$);
end $$`
