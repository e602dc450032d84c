import { Migration } from '@mikro-orm/migrations'

/**
 * Agents, prompts, permissions and tasks name an agent type by its key: one that is shipped, or one of their own organization.
 * A foreign key cannot say "one of both".
 */
export class Migration20261122054200_agent_types extends Migration {
  override up(): void {
    for (const { table, column } of naming) {
      this.addSql(refuseUnknown(table, column))
      this.addSql(
        `create trigger a_agent_type before insert or update of ${column} on ${table} for each row when (new.${column} is not null) execute function sync.refuse_unknown_${table}_type()`,
      )
    }
  }

  override down(): void {
    for (const { table } of naming) {
      this.addSql(`drop trigger a_agent_type on ${table}`)
      this.addSql(`drop function sync.refuse_unknown_${table}_type()`)
    }
  }
}

const naming = [
  { table: 'agents', column: 'agent_type' },
  { table: 'prompts', column: 'agent_type' },
  { table: 'agent_permissions', column: 'agent_type' },
  { table: 'tasks', column: 'assigned_agent_type' },
]

const refuseUnknown = (table: string, column: string): string => `
create function sync.refuse_unknown_${table}_type() returns trigger language plpgsql as $$
begin
  if not exists (
    select from public.agent_types t
    where t.key = new.${column} and t.deleted_at is null and (t.organization_id is null or t.organization_id = new.organization_id)
  ) then
    raise exception 'There is no agent type %.', new.${column} using
      errcode = 'foreign_key_violation', table = '${table}', column = '${column}', constraint = '${table}_${column}_known',
      detail = format('Key (${column})=(%s) is not present in table "agent_types".', new.${column});
  end if;
  return new;
end $$`
