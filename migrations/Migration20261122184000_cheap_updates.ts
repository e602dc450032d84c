import { Migration } from '@mikro-orm/migrations'

/**
 * No index has a column that every update changes, so that Postgres stores the new version of a row on the page of the old one and
 * leaves the indexes alone (HOT). All new ones are made before the first one goes: readers wait for no building.
 */
export class Migration20261122184000_cheap_updates extends Migration {
  override up(): void {
    for (const table of indexed)
      this.addSql(`create index "${table}_organization_id_idx" on "${table}" ("organization_id")`)
    this.addSql(
      `create index "agent_instances_id_idx" on "agent_instances" ("id") where status in ('starting','idle','busy','draining')`,
    )
    for (const table of [...indexed, ...ledOtherwise])
      this.addSql(`drop index "${table}_organization_id_updated_at_idx"`)
    this.addSql('drop index "agent_instances_last_heartbeat_at_idx"')
  }

  override down(): void {
    for (const table of [...indexed, ...ledOtherwise])
      this.addSql(
        `create index "${table}_organization_id_updated_at_idx" on "${table}" ("organization_id", "updated_at")`,
      )
    this.addSql(
      `create index "agent_instances_last_heartbeat_at_idx" on "agent_instances" ("last_heartbeat_at") where status in ('starting','idle','busy','draining')`,
    )
    for (const table of indexed) this.addSql(`drop index "${table}_organization_id_idx"`)
    this.addSql('drop index "agent_instances_id_idx"')
  }
}

const indexed = [
  'agent_capabilities',
  'agent_instances',
  'agent_permissions',
  'agent_sessions',
  'agent_types',
  'agents',
  'complexity_metrics',
  'context_vectors',
  'conversation_participants',
  'cost_estimates',
  'cost_models',
  'devices',
  'document_links',
  'document_templates',
  'document_versions',
  'documents',
  'enum_values',
  'external_links',
  'integrations',
  'knowledge_grants',
  'macro_step_dependencies',
  'macro_steps',
  'messages',
  'organization_members',
  'phases',
  'pipeline_artifacts',
  'pipeline_executions',
  'pipeline_step_executions',
  'pipeline_steps',
  'pipelines',
  'plans',
  'project_closures',
  'project_members',
  'project_states',
  'prompt_test_results',
  'prompts',
  'quality_gate_results',
  'quality_gates',
  'repositories',
  'repository_analyses',
  'repository_branches',
  'success_criteria',
  'task_dependencies',
  'task_runs',
  'tasks',
  'team_memberships',
  'teams',
  'user_preferences',
  'webhooks',
  'workflow_runs',
  'workflows',
]

/** Tables of which another index leads with the organization. */
const ledOtherwise = [
  'conversations',
  'event_subscriptions',
  'feedback_loops',
  'knowledge_entries',
  'memories',
  'memory_tags',
  'model_prices',
  'notifications',
  'patterns',
  'projects',
  'sync_conflicts',
]
