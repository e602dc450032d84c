import { randomUUID } from 'node:crypto'
import type { SqlValues } from '../support/sample-rows.ts'

const self = randomUUID()

/** By CHECK of one column, values that break it where its rule is more than a list, a length or a bound. */
export const brokenAlone: Readonly<Record<string, readonly unknown[]>> = {
  credentials_secret_ciphertext_check: [Buffer.alloc(28)],
  credentials_refresh_ciphertext_check: [Buffer.alloc(28)],
  memory_tags_tag_check: ['Upper', ' spaced ', '', 'x'.repeat(81)],
  pipeline_artifacts_sha256_check: [Buffer.alloc(31)],
  sync_heads_id_check: [2],
  users_email_check: ['Ada@example.com', 'nobody', '@example.com'],
  workflows_definition_check: ['{"steps":{}}'],
}

/** By CHECK over several columns, values that break it in a row that is well otherwise. */
export const brokenTogether: Readonly<Record<string, readonly SqlValues[]>> = {
  agent_sessions_ended_at_started_at_check: [{ started_at: '2026-11-02', ended_at: '2026-11-01' }],
  billing_records_period_check: [{ period_start: '2026-11-01', period_end: '2026-11-01' }],
  cost_estimates_range_check: [{ cost_low: 2, cost_high: 1 }],
  cost_estimates_subject_check: [{ plan_id: randomUUID(), task_id: randomUUID() }],
  document_links_other_document_check: [
    { id: self, document_id: self, target_type: 'document', target_document_id: self },
  ],
  document_links_target_check: [
    { target_type: 'document' },
    { target_type: 'url', target_url: null },
    { target_type: 'task', target_id: null },
  ],
  event_replays_start_check: [{ from_seq: null, from_time: null }],
  integrations_github_check: [{ provider: 'github' }],
  integrations_linear_check: [{ provider: 'linear' }],
  integrations_slack_check: [{ provider: 'slack' }],
  macro_step_dependencies_macro_step_id_depends_on_id_check: [{ macro_step_id: self, depends_on_id: self }],
  memories_embedding_ready_check: [{ embedding_status: 'ready' }],
  memories_supersedes_other_check: [{ id: self, supersedes_id: self }],
  memories_validity_check: [{ valid_from: '2026-11-02', valid_until: '2026-11-02' }],
  messages_role_tool_call_id_check: [{ role: 'tool' }],
  messages_sender_user_id_sender_agent_id_check: [{ sender_user_id: randomUUID(), sender_agent_id: randomUUID() }],
  model_prices_period_check: [{ effective_from: '2026-11-01', effective_to: '2026-11-01' }],
  phases_estimated_hours_max_estimated_hours_min_check: [{ estimated_hours_min: 2, estimated_hours_max: 1 }],
  plans_assigned_user_id_assigned_agent_id_check: [{ assigned_user_id: randomUUID(), assigned_agent_id: randomUUID() }],
  project_closures_kind_completed_at_check: [{ kind: 'archived' }],
  retention_policies_period_check: [{ action: 'delete', condition: 'none', keep_for: null }],
  success_criteria_target_check: [{ operator: 'lt', target_value: null }],
  sync_changes_row_id_op_check: [{ op: 'upsert', row_id: null }],
  sync_conflicts_status_resolved_at_check: [{ status: 'resolved' }],
  task_dependencies_task_id_depends_on_task_id_check: [{ task_id: self, depends_on_task_id: self }],
  user_preferences_category_value_check: [
    { category: 'decision_weights', value: '1.1' },
    { category: 'decision_weights', value: '"heavy"' },
  ],
  webhooks_inbound_check: [{ direction: 'inbound', url: null, endpoint_key: null }],
  webhooks_outbound_check: [{ direction: 'outbound', url: null }],
}
