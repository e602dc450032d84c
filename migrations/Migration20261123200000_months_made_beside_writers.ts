import { Migration } from '@mikro-orm/migrations'
import { inFunction } from './Migration20261122183000_kept_figures.ts'

/**
 * Until this month has a partition, all that is logged goes to the default one. Who was writing while the month was made
 * had chosen the default partition, waited for it, and was refused ("violates partition constraint"); and rows whose
 * transaction was open at that moment were in the way of the month. Now this month is made while nobody writes to the
 * log: who comes waits for the log itself, and finds the month there. Other months are made beside those who write, as
 * before.
 */
export class Migration20261123200000_months_made_beside_writers extends Migration {
  override up(): void {
    this.addSql(inFunction('sync.ensure_partitions(integer)', before, after))
  }

  override down(): void {
    this.addSql(inFunction('sync.ensure_partitions(integer)', after, before))
  }
}

const before = `      execute format('create table sync.%I (like`
const after = `      if month = date_trunc('month', now() at time zone 'UTC') then
        execute format('lock table only public.%I in share row exclusive mode', parent.relname);
      end if;
${before}`
