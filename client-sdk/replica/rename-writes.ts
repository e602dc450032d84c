import { withNewIds, type Renewed } from '../outbox/renew.ts'
import type { OutboxEntry } from '../store/store.ts'
import type { Mirror } from './mirror.ts'
import type { Step } from './step.ts'

/** Writes go on under new ids, never sent: those that depend on them follow. Groups must be given whole. */
export function renameWrites(
  step: Step,
  mirror: Mirror,
  entries: readonly OutboxEntry[],
  newId: () => string,
  change: Partial<OutboxEntry['mutation']> = {},
): readonly Renewed[] {
  const renewed = withNewIds(entries, newId)
  const newIds = new Map(renewed.map(({ oldId, entry }) => [oldId, entry.mutation.id]))
  for (const { oldId, entry } of renewed)
    step.replace(oldId, { ...entry, status: 'local', mutation: { ...entry.mutation, ...change, clientSeq: 0 } })
  for (const entry of [...mirror.outbox.local, ...mirror.outbox.parked]) {
    const { id, dependsOn } = entry.mutation
    if (!newIds.has(id) && dependsOn?.some((other) => newIds.has(other)))
      step.put({
        ...entry,
        mutation: { ...entry.mutation, dependsOn: dependsOn.map((other) => newIds.get(other) ?? other) },
      })
  }
  return renewed
}
