/** Limits by which the database judges its own health; operators change them in `system_settings`. */
export const healthSettings = [
  { key: 'health.query_average_ms', value: 100, description: 'Statements that take less on average are quick.' },
  { key: 'health.query_p95_ms', value: 1000, description: 'Of 20 quick statements 19 take less.' },
  { key: 'health.query_critical_ms', value: 1000, description: 'Statements that take more on average are a failure.' },
  { key: 'health.connections_part', value: 0.9, description: 'Part of max_connections from which on it is a warning.' },
  {
    key: 'health.long_transaction_seconds',
    value: 600,
    description: 'A transaction that is open for longer is a warning.',
  },
  { key: 'health.retention_hours', value: 50, description: 'Longest time between two runs of retention.' },
  { key: 'health.analytics_hours', value: 1, description: 'Longest time between two refreshes of the analytics.' },
  { key: 'health.integrity_check_hours', value: 50, description: 'Longest time between two integrity checks.' },
  { key: 'health.backup_hours', value: 26, description: 'Longest time between two backups, once there is one.' },
  {
    key: 'health.restore_test_hours',
    value: 840,
    description: 'Longest time between two restore tests, once there is a backup.',
  },
] as const
