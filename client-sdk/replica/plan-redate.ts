import { uuidTime } from '../../lib/uuid.ts'
import type { Mirror } from './mirror.ts'
import { renameWrites } from './rename-writes.ts'
import type { Step } from './step.ts'

/** Dates that are no further ahead of the server than this are left as they are. Milliseconds. */
const toleratedMs = 60_000

/**
 * Dates writes that were never sent anew where they are ahead of the server's clock: they were made before this device
 * knew how wrong its own is, and the server refuses what is too far in the future. An id of a write tells its time too.
 * Ids of rows stay: the application has them.
 */
export function planRedate(step: Step, mirror: Mirror, serverTime: number, newId: () => string): void {
  const unsent = [...mirror.outbox.local]
  const latest = serverTime + toleratedMs
  const early = unsent.filter(({ mutation }) => Math.max(mutation.at, uuidTime(mutation.id)) > latest)
  if (early.length === 0) return
  const ids = new Set(early.map(({ mutation }) => mutation.id))
  const groups = new Set(early.flatMap(({ mutation: { group } }) => group ?? []))
  const whole = unsent.filter(
    ({ mutation: { id, group } }) => ids.has(id) || (group !== undefined && groups.has(group)),
  )
  renameWrites(step, mirror, whole, newId, { at: serverTime })
}
