import type { Mutation } from '../../protocol/messages/mutation.ts'
import { redact } from '../../protocol/rows/redact.ts'
import type { Catalog } from '../catalog/catalog.ts'

/**
 * The mutation without the secrets that its table does not keep: neither its row nor the ledger, which keeps what was
 * refused, may have them.
 */
export function withoutSecrets({ synced }: Catalog, mutation: Mutation): Mutation {
  const { set } = mutation
  const names = synced.get(mutation.table)?.redacted.filter((property) => set?.[property] !== undefined) ?? []
  if (set === undefined || names.length === 0) return mutation
  const cleaned = names.map((property) => [property, redact(set[property] ?? null)] as const)
  return { ...mutation, set: { ...set, ...Object.fromEntries(cleaned) } }
}
