import type { DevicePrincipal } from './principal.ts'
import { tokenCondition } from './token-condition.ts'
import { inTransaction, type Transaction, type TransactionOptions } from './transaction.ts'

export { CommitFailedError, DatabaseUnavailableError } from './transaction.ts'

/** `inTransaction` with the identity of the device, under the role of writers, while its token is good. */
export async function inDeviceTransaction<T>(
  options: TransactionOptions,
  principal: DevicePrincipal,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const { organizationId, kind, id, deviceId } = principal
  return inTransaction(
    { ...options, asWriter: true, condition: tokenCondition(principal, options.clock.now()) },
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
