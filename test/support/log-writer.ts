import { vi } from 'vitest'
import type { ChangeSource } from '../../server/capture/change-source.ts'

/**
 * Waits until a source that was started writes the log; one with triggers does so from the start. Its start may end
 * before that: it follows while Postgres has not noticed yet that the last reader of the slot is gone, and it lets a
 * server listen while somebody's transaction is in the way of its slot, of which other tests on the same Postgres have
 * long ones.
 */
export async function untilWriter(source: Pick<ChangeSource, 'role'>): Promise<void> {
  await vi.waitUntil(() => source.role !== 'follower', { timeout: 120_000, interval: 10 })
}
