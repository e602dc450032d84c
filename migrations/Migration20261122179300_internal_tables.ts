import { Migration } from '@mikro-orm/migrations'
import { wantedGrants as formerWantedGrants } from './Migration20261122080000_roles.ts'

/**
 * Of the server's own tables `app_rw` has what pushes and actions need, table by table, and nothing of a table that comes later.
 * Those without an organization, of which it changes rows, are held to it by the row that each belongs to.
 */
export class Migration20261122179300_internal_tables extends Migration {
  override up(): void {
    for (const [table, parent] of parents) {
      this.addSql(`alter table sync.${table} enable row level security`)
      this.addSql(`create policy of_parent on sync.${table} for all using (${parent})`)
    }
    this.addSql(wantedGrants)
    this.addSql('select sync.secure()')
  }

  override down(): void {
    this.addSql(replacing(formerWantedGrants))
    for (const [table] of parents) {
      this.addSql(`drop policy of_parent on sync.${table}`)
      this.addSql(`alter table sync.${table} disable row level security`)
    }
    this.addSql('select sync.secure()')
  }
}

const replacing = (statement: string): string => statement.replace('create function', 'create or replace function')

const ofIntegration = (table: string): string =>
  `exists (select from public.integrations i where i.id = ${table}.integration_id and i.organization_id = sync.current_org())`

const parents: readonly (readonly [table: string, parent: string])[] = [
  ['integration_queue', ofIntegration('integration_queue')],
  ['issues_behind', ofIntegration('issues_behind')],
  [
    'pipeline_waits',
    `exists (select from public.pipeline_executions e where e.id = pipeline_waits.execution_id and e.organization_id = sync.current_org())`,
  ],
  [
    'step_leases',
    `exists (select from public.pipeline_step_executions x where x.id = step_leases.step_execution_id and x.organization_id = sync.current_org())`,
  ],
]

const wantedGrants = replacing(formerWantedGrants).replace(
  `      when name in ('settings', 'former_epochs') then '{SELECT}'
      when name = 'spilled_changes' then '{}'
      else '{SELECT,INSERT,UPDATE,DELETE}'
`,
  `      when name in ('settings', 'former_epochs') then '{SELECT}'
      when name in ('integration_queue', 'issues_behind', 'step_leases') then '{SELECT,INSERT,UPDATE,DELETE}'
      when name in ('issue_bases', 'pipeline_waits') then '{SELECT,INSERT,UPDATE}'
      when name = 'calls' then '{SELECT,INSERT}'
      -- By triggers, for the server to read.
      when name in ('event_deliveries', 'open_commits', 'pending_changes', 'stale_agents') then '{INSERT}'
      else '{}'
`,
)
