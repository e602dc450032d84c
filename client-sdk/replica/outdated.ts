import { blockIds } from '../../protocol/rows/block-codec.ts'
import { rowId as idOf } from '../../protocol/rows/row.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { subChannels } from '../store/holding.ts'
import type { Outdated, ReplicaStore, Swap } from '../store/store.ts'
import type { Mirror } from './mirror.ts'
import type { ReceivedBatch } from './received.ts'

/**
 * What may hang, out of date, under rows of a batch: only while some subscription is not complete, for what all hold is
 * told to them all. Rows that are staged for one of the swaps have been looked at there.
 */
export async function outdatedBy(
  mirror: Mirror,
  store: ReplicaStore,
  batch: ReceivedBatch,
  swaps: readonly Swap[],
  held: readonly Subscription[],
): Promise<readonly Outdated[]> {
  if ([...mirror.subscriptions.values()].every(({ state }) => state === 'held')) return []
  const parents = new Set(subChannels(mirror.tables).values())
  const outdated: Outdated[] = []
  for (const packed of batch.blocks) {
    const { table } = packed.block
    if (!parents.has(table)) continue
    const ids = new Set(blockIds(packed))
    for (const { subscription } of swaps)
      for (const row of await store.staged(subscription.id, table, [...ids])) ids.delete(idOf(row))
    if (ids.size > 0) outdated.push({ table, ids: [...ids], held })
  }
  return outdated
}
