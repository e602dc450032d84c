import type { TransactionSettings } from '../scope/transaction.ts'

/**
 * On whose behalf a unit works: what triggers, logs and marks name. Without an organization it is the system itself,
 * which sees all of them.
 */
export interface Actor {
  readonly organizationId?: string
  readonly userId?: string
  readonly agentId?: string
  readonly deviceId?: string
}

/**
 * The settings `app.*` that the database reads; what is absent is empty, since settings outlive nobody's transaction.
 */
export function settingsOf({ organizationId, userId, agentId, deviceId }: Actor): TransactionSettings {
  return {
    'app.organization_id': organizationId ?? '',
    'app.device_id': deviceId ?? '',
    'app.user_id': userId ?? '',
    'app.agent_id': agentId ?? '',
    'app.mutation_id': '',
  }
}
