import { Migration } from '@mikro-orm/migrations'

/**
 * What hangs under a plan is for mobile devices while the plan is (`mobile_sync_enabled`): a stored column, so that a
 * subscription of such a device filters by it as by any other. What has no plan is for all devices.
 */
export class Migration20261122162100_mobile_visible extends Migration {
  override up(): void {
    for (const table of tables)
      this.addSql(`alter table "${table}" add column "mobile_visible" boolean not null default true;`)
    for (const statement of [...functions, ...triggers]) this.addSql(statement)
    this.addSql(
      'update phases set mobile_visible = false where plan_id in (select id from plans where not mobile_sync_enabled)',
    )
    this.addSql(
      'update tasks set mobile_visible = false where mobile_visible and plan_id in (select id from plans where not mobile_sync_enabled)',
    )
  }

  override down(): void {
    for (const table of ['plans', ...tables]) this.addSql(`drop trigger c_mobile_computed on ${table}`)
    for (const table of tables) {
      this.addSql(`drop trigger a_mobile on ${table}`)
      this.addSql(`drop function sync.compute_mobile_${table}()`)
    }
    this.addSql('drop function sync.pass_mobile_on()')
    for (const table of tables) this.addSql(`alter table "${table}" drop column "mobile_visible";`)
  }
}

const tables = ['phases', 'macro_steps', 'tasks'] as const

/** A parent is locked, so that it cannot change sides while it gets a child that its own update would not see. */
const ofParent = (column: string, parent: string, gate: string): string =>
  `coalesce((select ${gate} from public.${parent} where id = new.${column} for share), true)`

const parents = {
  phases: [['plan_id', 'plans', 'mobile_sync_enabled']],
  macro_steps: [['phase_id', 'phases', 'mobile_visible']],
  tasks: [
    ['plan_id', 'plans', 'mobile_sync_enabled'],
    ['macro_step_id', 'macro_steps', 'mobile_visible'],
    ['parent_task_id', 'tasks', 'mobile_visible'],
  ],
} as const

const functions = [
  ...tables.map(
    (table) => `
create function sync.compute_mobile_${table}() returns trigger language plpgsql as $$
begin
  new.mobile_visible := ${parents[table].map(([column, parent, gate]) => ofParent(column, parent, gate)).join('\n    and ')};
  return new;
end $$`,
  ),
  /** Arguments, in pairs: a table, and the column of it that names this row. */
  `
create function sync.pass_mobile_on() returns trigger language plpgsql as $$
begin
  for place in 0 .. tg_nargs - 1 by 2 loop
    execute format('update public.%I set mobile_visible = $2 where %I = $1 and mobile_visible is distinct from $2', tg_argv[place], tg_argv[place + 1])
    using new.id, case tg_table_name when 'plans' then (to_jsonb(new) ->> 'mobile_sync_enabled')::boolean else (to_jsonb(new) ->> 'mobile_visible')::boolean end;
  end loop;
  return null;
end $$`,
]

const passing = (table: string, gate: string, children: string): string => `
create trigger c_mobile_computed after update on ${table} for each row
  when (new.${gate} is distinct from old.${gate}) execute function sync.pass_mobile_on(${children})`

const triggers = [
  ...tables.map((table) => {
    const columns = parents[table].map(([column]) => column)
    return `
create trigger a_mobile before insert or update of ${columns.join(', ')}, mobile_visible on ${table} for each row
  when (${columns.map((column) => `new.${column} is not null`).join(' or ')} or not new.mobile_visible)
  execute function sync.compute_mobile_${table}()`
  }),
  passing('plans', 'mobile_sync_enabled', `'phases', 'plan_id', 'tasks', 'plan_id'`),
  passing('phases', 'mobile_visible', `'macro_steps', 'phase_id'`),
  passing('macro_steps', 'mobile_visible', `'tasks', 'macro_step_id'`),
  passing('tasks', 'mobile_visible', `'tasks', 'parent_task_id'`),
]
