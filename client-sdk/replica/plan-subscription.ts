import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { ReplicaStore, SubscriptionRecord } from '../store/store.ts'
import { imagesAfterPurge } from './image-moves.ts'
import type { Mirror } from './mirror.ts'
import type { ReceivedPage } from './received.ts'
import type { TableChange } from './replica-change.ts'
import type { BulkParts, Step } from './step.ts'

/**
 * A page of rows goes to the staging area; the first one fixes the position the catch-up will start from. Tables that are
 * not known here are a newer server's: they come with the bootstrap after an upgrade.
 */
export function planPage(step: Step, mirror: Mirror, record: SubscriptionRecord, page: ReceivedPage): BulkParts {
  const { subscription } = record
  step.putSubscription({ subscription, state: 'staging', from: record.from ?? page.from, next: page.next })
  const blocks = page.blocks.filter(({ block }) => mirror.tables.has(block.table))
  return { commit: { stage: { subscription: subscription.id, blocks } } }
}

/** Follows a channel, or follows it otherwise: the rows of the old subscription stay until the new one's are here. */
export function planSubscribe(step: Step, mirror: Mirror, subscription: Subscription): BulkParts {
  const known = mirror.subscriptions.get(subscription.id)
  if (known !== undefined && JSON.stringify(known.subscription) === JSON.stringify(subscription)) return {}
  step.putSubscription({ subscription, state: 'new', from: null, next: null })
  return known === undefined ? {} : { commit: { unstage: [subscription.id] } }
}

/** Fetches a subscription anew. */
export function planRefetch(step: Step, mirror: Mirror, id: string): BulkParts {
  const record = mirror.subscriptions.get(id)
  if (record === undefined) return {}
  step.putSubscription({ subscription: record.subscription, state: 'new', from: null, next: null })
  return { commit: { unstage: [id] } }
}

/** Stops following: rows that no other subscription holds go from this replica. */
export async function planUnsubscribe(step: Step, mirror: Mirror, store: ReplicaStore, id: string): Promise<BulkParts> {
  const record = mirror.subscriptions.get(id)
  if (record === undefined) return {}
  step.dropSubscription(id)
  const keep = [...mirror.subscriptions.values()]
    .filter((other) => other.subscription.id !== id && other.state === 'held')
    .map((other) => other.subscription)
  const purges = [
    {
      channel: record.subscription.channel,
      keep,
      ...(record.subscription.tables === undefined ? {} : { tables: record.subscription.tables }),
    },
  ]
  await imagesAfterPurge(step, mirror, store, purges)
  const tables = new Map<string, TableChange>([...mirror.tables.keys()].map((name) => [name, { all: true }]))
  return { commit: { unstage: [id], purges }, tables }
}
