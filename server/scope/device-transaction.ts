import type { DevicePrincipal } from './principal.ts'
import { inTransaction, type Transaction, type TransactionOptions } from './transaction.ts'

export { CommitFailedError, DatabaseUnavailableError } from './transaction.ts'

/** `inTransaction` with the identity of the device, under the role of writers. */
export async function inDeviceTransaction<T>(
  options: TransactionOptions,
  { organizationId, kind, id, deviceId }: DevicePrincipal,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  return inTransaction(
    { ...options, asWriter: true },
    {
      'app.organization_id': organizationId,
      'app.device_id': deviceId,
      'app.user_id': kind === 'user' ? id : '',
      'app.agent_id': kind === 'agent' ? id : '',
      // Stays empty: one statement may carry many mutations. Marks say which were in a commit.
      'app.mutation_id': '',
    },
    work,
  )
}
