import { Migration } from '@mikro-orm/migrations'

/**
 * What a server remembers of a database to notice that capture had a gap: how the publication was (`published`), and the
 * identity of tables and columns (`shape`), whose rows change without a trace in the WAL when they are dropped and made again.
 */
export class Migration20261122055000_capture_watch extends Migration {
  override up(): void {
    this.addSql('alter table sync.settings add column published jsonb, add column shape jsonb')
    this.addSql(publicationState)
    this.addSql(distortedTables)
    this.addSql(compareShape)
  }

  override down(): void {
    this.addSql('drop function sync.compare_shape(jsonb)')
    this.addSql('drop function sync.distorted_tables(text)')
    this.addSql('drop function sync.publication_state(text)')
    this.addSql('alter table sync.settings drop column published, drop column shape')
  }
}

/** By table: what changes when it is taken out and put back, or published in another way. Empty: there is no publication. */
const publicationState = `
create function sync.publication_state(publication text) returns jsonb language sql stable as $$
  select coalesce(jsonb_object_agg(c.relname,
    concat_ws(' ', p.oid, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, r.oid, c.oid, r.prattrs, r.prqual is not null, c.relreplident)), '{}')
  from pg_publication p
  join pg_publication_rel r on r.prpubid = p.oid
  join pg_class c on c.oid = r.prrelid and c.relnamespace = 'public'::regnamespace
  where p.pubname = publication
$$`

/** Tables that are published with a filter, or with other columns than their keys. */
const distortedTables = `
create function sync.distorted_tables(publication text) returns setof text language sql stable as $$
  select c.relname::text
  from pg_publication p
  join pg_publication_rel r on r.prpubid = p.oid
  join pg_class c on c.oid = r.prrelid and c.relnamespace = 'public'::regnamespace
  where p.pubname = publication and (r.prqual is not null or r.prattrs is null or exists (
    select from pg_attribute a
    where a.attrelid = c.oid and not a.attisdropped and a.attgenerated = '' and a.attname in ('id', 'channel', 'organization_id', 'version')
      and a.attnum <> all (r.prattrs)))
$$`

/**
 * Compares the shape of tables (by table and column, the numbers Postgres knows them by) with the one remembered, remembers the new
 * one, and answers the tables that were dropped and made again, or had a column dropped and made again: their rows changed
 * and nothing logged it. Then the epoch changes too. New tables and columns are no such change.
 */
export const compareShape = `
create function sync.compare_shape(present jsonb) returns text[] language plpgsql as $$
declare
  known jsonb;
  changed text[];
begin
  select coalesce(shape, '{}') into strict known from sync.settings for update;
  select coalesce(array_agg(distinct now.name order by now.name), '{}') into changed
  from jsonb_each(present) as now(name, columns), jsonb_each_text(now.columns) as part(name, number)
  where known -> now.name ->> part.name <> part.number;
  if known is distinct from (known || present) then
    update sync.settings set shape = known || present;
  end if;
  if cardinality(changed) > 0 then
    update public.sync_heads set epoch = gen_random_uuid()::text, updated_at = now();
  end if;
  return changed;
end $$`
