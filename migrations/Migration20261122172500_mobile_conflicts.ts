import { Migration } from '@mikro-orm/migrations'

/** A conflict says what its row says, so an open one is for mobile devices while its row is (`mobile_visible`). */
export class Migration20261122172500_mobile_conflicts extends Migration {
  override up(): void {
    this.addSql('alter table "sync_conflicts" add column "mobile_visible" boolean not null default true;')
    for (const statement of [computeMobile, passMobileOn]) this.addSql(statement)
    this.addSql(
      `create trigger a_mobile before insert or update of mobile_visible on sync_conflicts for each row
        when (new.table_name in (${tables.map(([table]) => `'${table}'`).join(', ')}) or not new.mobile_visible)
        execute function sync.compute_mobile_sync_conflicts()`,
    )
    for (const [table, gate] of tables) {
      this.addSql(
        `create trigger c_mobile_conflicts after update on ${table} for each row
          when (new.${gate} is distinct from old.${gate}) execute function sync.pass_mobile_to_conflicts()`,
      )
      this.addSql(
        `update sync_conflicts c set mobile_visible = false from ${table} r
          where c.table_name = '${table}' and c.status = 'open' and r.id = c.row_id and not r.${gate}`,
      )
    }
  }

  override down(): void {
    for (const [table] of tables) this.addSql(`drop trigger c_mobile_conflicts on ${table}`)
    this.addSql('drop trigger a_mobile on sync_conflicts')
    this.addSql('drop function sync.pass_mobile_to_conflicts()')
    this.addSql('drop function sync.compute_mobile_sync_conflicts()')
    this.addSql('alter table "sync_conflicts" drop column "mobile_visible";')
  }
}

/** And the column of each that says whether a row is for mobile devices. */
const tables = [
  ['plans', 'mobile_sync_enabled'],
  ['phases', 'mobile_visible'],
  ['macro_steps', 'mobile_visible'],
  ['tasks', 'mobile_visible'],
] as const

const computeMobile = `
create function sync.compute_mobile_sync_conflicts() returns trigger language plpgsql as $$
begin
  new.mobile_visible := coalesce(case new.table_name
${tables.map(([table, gate]) => `    when '${table}' then (select ${gate} from public.${table} where id = new.row_id for share)`).join('\n')}
    end, true);
  return new;
end $$`

/** What was settled is seen or not as it was then; it goes by its retention. */
const passMobileOn = `
create function sync.pass_mobile_to_conflicts() returns trigger language plpgsql as $$
begin
  update public.sync_conflicts set mobile_visible = not mobile_visible
  where table_name = tg_table_name and row_id = new.id and status = 'open'
    and mobile_visible is distinct from case tg_table_name
      when 'plans' then (to_jsonb(new) ->> 'mobile_sync_enabled')::boolean else (to_jsonb(new) ->> 'mobile_visible')::boolean end;
  return null;
end $$`
