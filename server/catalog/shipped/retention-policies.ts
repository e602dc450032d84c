/** How long rows are kept; an organization's row of the same name overrides. `keepFor` in the words of Postgres. */
export interface RetentionPolicy {
  readonly name: string
  /** `*`: every table with the time column, but organizations and users. */
  readonly table: string
  readonly time: string
  readonly condition?: 'expired' | 'soft_deleted' | 'terminal' | 'read' | 'stopped'
  readonly keepFor?: string
  readonly action?: 'keep' | 'summarize_then_delete' | 'archive_then_delete'
  readonly summary?: string
}

export const retentionPolicies: readonly RetentionPolicy[] = [
  {
    name: 'token_usage',
    table: 'token_usages',
    time: 'occurred_at',
    keepFor: '365 days',
    action: 'summarize_then_delete',
    summary: 'token_usage_daily',
  },
  { name: 'tool_audit_log', table: 'tool_audit_logs', time: 'occurred_at', keepFor: '365 days' },
  {
    name: 'error_log',
    table: 'error_logs',
    time: 'occurred_at',
    keepFor: '90 days',
    action: 'summarize_then_delete',
    summary: 'error_log_summaries',
  },
  { name: 'error_log_summary', table: 'error_log_summaries', time: 'summary_date', keepFor: '365 days' },
  { name: 'rag_knowledge', table: 'knowledge_entries', time: 'expires_at', condition: 'expired' },
  { name: 'prompt_test_results', table: 'prompt_test_results', time: 'tested_at', action: 'keep' },
  { name: 'cancelled_projects', table: 'project_closures', time: 'closed_at', action: 'keep' },
  { name: 'archived_projects', table: 'project_closures', time: 'closed_at', action: 'keep' },
  { name: 'integration_events', table: 'integration_events', time: 'occurred_at', keepFor: '90 days' },
  {
    name: 'system_metrics',
    table: 'system_metrics',
    time: 'occurred_at',
    keepFor: '90 days',
    action: 'summarize_then_delete',
    summary: 'system_metric_rollups',
  },
  { name: 'soft_deleted_rows', table: '*', time: 'deleted_at', condition: 'soft_deleted', keepFor: '30 days' },
  { name: 'memories_expired', table: 'memories', time: 'expires_at', condition: 'expired', keepFor: '30 days' },
  { name: 'context_vectors', table: 'context_vectors', time: 'expires_at', condition: 'expired' },
  { name: 'agent_events', table: 'agent_events', time: 'occurred_at', keepFor: '90 days' },
  { name: 'event_metrics', table: 'event_metrics', time: 'occurred_at', keepFor: '90 days' },
  { name: 'notifications', table: 'notifications', time: 'created_at', condition: 'read', keepFor: '90 days' },
  { name: 'events', table: 'events', time: 'occurred_at', keepFor: '180 days' },
  { name: 'audit_logs', table: 'audit_logs', time: 'occurred_at', keepFor: '730 days', action: 'archive_then_delete' },
  {
    name: 'memory_logs',
    table: 'memory_logs',
    time: 'occurred_at',
    keepFor: '730 days',
    action: 'archive_then_delete',
  },
  { name: 'sync_changes', table: 'sync_changes', time: 'occurred_at', keepFor: '90 days' },
  { name: 'sync_mutations', table: 'sync_mutations', time: 'received_at', condition: 'terminal', keepFor: '90 days' },
  { name: 'sync_conflicts', table: 'sync_conflicts', time: 'resolved_at', condition: 'terminal', keepFor: '180 days' },
  { name: 'agent_instances', table: 'agent_instances', time: 'stopped_at', condition: 'stopped', keepFor: '30 days' },
  { name: 'auth_sessions', table: 'auth_sessions', time: 'expires_at', condition: 'expired', keepFor: '30 days' },
  { name: 'access_tokens', table: 'access_tokens', time: 'expires_at', condition: 'expired', keepFor: '30 days' },
  { name: 'query_statistics', table: 'query_statistics', time: 'bucket_start', keepFor: '14 days' },
  { name: 'maintenance_runs', table: 'maintenance_runs', time: 'started_at', keepFor: '180 days' },
  { name: 'pipeline_artifacts', table: 'pipeline_artifacts', time: 'expires_at', condition: 'expired' },
  { name: 'backup_files', table: 'backup_runs', time: 'started_at', keepFor: '30 days', action: 'archive_then_delete' },
]
