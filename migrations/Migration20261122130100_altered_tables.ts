import { Migration } from '@mikro-orm/migrations'
import { compareShape } from './Migration20261122055000_capture_watch.ts'

/**
 * Two more ways in which rows change without a trace in the WAL: `ALTER COLUMN … TYPE … USING …` rewrites them, and without its
 * triggers a table's changes do not raise their versions.
 */
export class Migration20261122130100_altered_tables extends Migration {
  override up(): void {
    this.addSql(compareRewritten)
    this.addSql(distrustShape)
  }

  override down(): void {
    this.addSql('drop function sync.distrust_shape(text[])')
    this.addSql(compareShape.replace('create function', 'create or replace function'))
  }
}

/**
 * As before. The parts ' file' and ' altered' of a table count together: a new file alone is a VACUUM FULL, an altered column alone
 * a default or a name; both at once are values that were written anew.
 */
const compareRewritten = `
create or replace function sync.compare_shape(present jsonb) returns text[] language plpgsql as $$
declare
  known jsonb;
  changed text[];
begin
  select coalesce(shape, '{}') into strict known from sync.settings for update;
  select coalesce(array_agg(now.name order by now.name), '{}') into changed
  from jsonb_each(present) as now(name, parts)
  where exists (
      select from jsonb_each_text(now.parts - ' file' - ' altered') as part(name, number) where known -> now.name ->> part.name <> part.number
    )
    or (known -> now.name ->> ' file' <> now.parts ->> ' file' and known -> now.name ->> ' altered' <> now.parts ->> ' altered');
  if known is distinct from (known || present) then
    update sync.settings set shape = known || present;
  end if;
  if cardinality(changed) > 0 then
    update public.sync_heads set epoch = gen_random_uuid()::text, updated_at = now();
  end if;
  return changed;
end $$`

/** Tables that are not as they should be are taken for changed once they are again. One that was never compared is new. */
const distrustShape = `
create function sync.distrust_shape(tables text[]) returns void language sql as $$
  update sync.settings
  set shape = shape || (select jsonb_object_agg(name, (shape -> name) || '{"": ""}'::jsonb) from unnest(tables) name where shape ? name)
  where exists (select from unnest(tables) name where shape -> name ->> '' <> '')
$$`
