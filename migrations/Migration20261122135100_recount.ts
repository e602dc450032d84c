import { Migration } from '@mikro-orm/migrations'

/**
 * A device counts its writes anew after its ledger was restored from a backup. What the ledger has already comes again under another
 * counter then, and takes it. A definer's, since who pushes may add to the ledger and not change it: only the device of the
 * transaction, and only upwards.
 */
export class Migration20261122135100_recount extends Migration {
  override up(): void {
    this.addSql(`
create function sync.recount_mutations(ids uuid[], seqs bigint[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  device uuid := (sync.current_actor()).device_id;
begin
  update public.sync_mutations m set client_seq = r.client_seq
  from unnest(ids, seqs) as r(id, client_seq)
  where m.device_id = device and m.id = r.id and r.client_seq > m.client_seq;
end $$`)
  }

  override down(): void {
    this.addSql('drop function sync.recount_mutations(uuid[], bigint[])')
  }
}
