import { v7 } from 'uuid'
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

/** Makes UUIDs version 7 (RFC 9562): ordered by the clock's milliseconds, 74 random bits. */
export function createUuidSource(clock: Pick<Clock, 'now'>, random: Random): () => string {
  return () => v7({ msecs: clock.now(), random: random.bytes(16), seq: Math.floor(random.next() * 2 ** 31) })
}

const rowIdForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** True for a lower-case UUID of version 7 or 8: the only ids that rows, mutations and devices may have. */
export function isRowId(text: string): boolean {
  return rowIdForm.test(text)
}

/** The time inside a UUIDv7, in milliseconds since 1970. */
export function uuidTime(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}
