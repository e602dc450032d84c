import type { OutboxEntry } from '../store/store.ts'

export interface PushLimits {
  readonly mutations: number
  /** Of the mutations as JSON text, a good guess of their bytes. */
  readonly bytes: number
}

/**
 * The first writes of a queue that fit into one push. A group is never split: it goes whole, even when it alone exceeds
 * a limit, since the server can apply it in no other way. At least one write is taken if there is one.
 */
export function selectPush(queue: Iterable<OutboxEntry>, limits: PushLimits): readonly OutboxEntry[] {
  const chosen: OutboxEntry[] = []
  let bytes = 0
  for (const unit of units(queue)) {
    const size = unit.reduce((total, entry) => total + JSON.stringify(entry.mutation).length, 0)
    if (chosen.length > 0 && (chosen.length + unit.length > limits.mutations || bytes + size > limits.bytes)) break
    chosen.push(...unit)
    bytes += size
    if (chosen.length >= limits.mutations || bytes >= limits.bytes) break
  }
  return chosen
}

/** Cuts a queue into what must go together: single writes and whole groups. */
function* units(queue: Iterable<OutboxEntry>): Iterable<readonly OutboxEntry[]> {
  let unit: OutboxEntry[] = []
  for (const entry of queue) {
    const group = unit.at(-1)?.mutation.group
    if (unit.length > 0 && (group === undefined || group !== entry.mutation.group)) {
      yield unit
      unit = []
    }
    unit.push(entry)
  }
  if (unit.length > 0) yield unit
}
