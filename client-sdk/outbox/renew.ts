import type { OutboxEntry } from '../store/store.ts'

export interface Renewed {
  readonly oldId: string
  readonly entry: OutboxEntry
}

/**
 * The same writes under new ids. Groups get new ids as well, and dependencies among the writes follow.
 */
export function withNewIds(entries: readonly OutboxEntry[], newId: () => string): readonly Renewed[] {
  const ids = new Map(entries.map(({ mutation }) => [mutation.id, newId()]))
  const groups = new Map<string, string>()
  const groupOf = (group: string): string => {
    const known = groups.get(group) ?? newId()
    groups.set(group, known)
    return known
  }
  return entries.map((entry) => {
    const { group, dependsOn, ...mutation } = entry.mutation
    const renamed = {
      ...mutation,
      id: ids.get(mutation.id) ?? mutation.id,
      ...(group === undefined ? {} : { group: groupOf(group) }),
      ...(dependsOn === undefined ? {} : { dependsOn: dependsOn.map((id) => ids.get(id) ?? id) }),
    }
    return { oldId: mutation.id, entry: { ...entry, mutation: renamed } }
  })
}
