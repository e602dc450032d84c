import { mostPushMutations } from '../../protocol/limits.ts'
import type { OutboxEntry } from '../store/store.ts'

export interface PushLimits {
  readonly mutations: number
  /** Of the push as a frame. */
  readonly bytes: number
}

/** What servers take unless they say otherwise; known better after the first welcome. */
export const defaultPushLimits: PushLimits = { mutations: mostPushMutations, bytes: 4 * 1024 * 1024 }

/** Bytes of a push frame beside its writes. */
const frameRoom = 64

/** Bytes that a write may grow by when it is sent: its counter, and the comma before it. */
const entryRoom = 20

const encoder = new TextEncoder()

/** Bytes of a push of these writes as a frame, at most. */
export function pushBytes(entries: readonly Pick<OutboxEntry, 'mutation'>[]): number {
  return entries.reduce((total, { mutation }) => total + bytesOf(mutation), frameRoom)
}

/** Whether the server takes these writes as one push. */
export function fitsPush(entries: readonly Pick<OutboxEntry, 'mutation'>[], limits: PushLimits): boolean {
  return entries.length <= limits.mutations && pushBytes(entries) <= limits.bytes
}

/**
 * The first writes of a queue that fit into one push. A group is never split: it goes whole, even when it alone exceeds
 * a limit, since the server can apply it in no other way. At least one write is taken if there is one.
 */
export function selectPush(queue: Iterable<OutboxEntry>, limits: PushLimits): readonly OutboxEntry[] {
  const chosen: OutboxEntry[] = []
  let bytes = frameRoom
  for (const unit of units(queue)) {
    const size = unit.reduce((total, { mutation }) => total + bytesOf(mutation), 0)
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

/** In UTF-8, as a frame has it. */
function bytesOf(mutation: OutboxEntry['mutation']): number {
  return encoder.encode(JSON.stringify(mutation)).byteLength + entryRoom
}
