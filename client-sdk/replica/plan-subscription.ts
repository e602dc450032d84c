import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Purge, ReplicaStore, SubscriptionRecord } from '../store/store.ts'
import { imagesAfterPurge } from './image-moves.ts'
import type { Mirror } from './mirror.ts'
import { noteColumns } from './note-columns.ts'
import type { ReceivedPage } from './received.ts'
import type { TableChange } from './replica-change.ts'
import type { BulkParts, Step } from './step.ts'
import { subscriptionKey } from './subscription-key.ts'

/**
 * A page of rows goes to the staging area; the first one fixes the position the catch-up will start from. Tables that
 * are not known here are a newer server's: they come with the bootstrap after an upgrade.
 */
export function planPage(step: Step, mirror: Mirror, record: SubscriptionRecord, page: ReceivedPage): BulkParts {
  const { subscription } = record
  step.putSubscription({ subscription, state: 'staging', from: record.from ?? page.from, next: page.next })
  const blocks = page.blocks.filter(({ block }) => mirror.tables.has(block.table))
  noteColumns(step, mirror, blocks)
  return { commit: { stage: { subscription: subscription.id, blocks } } }
}

/**
 * Follows a channel, or follows it otherwise: the rows of the old subscription stay until the new one's are here. Of
 * those with the same key, the ones that are held stay as long; `planBatch` drops them when this one is held. A
 * subscription that the server refused is asked for again.
 */
export async function planSubscribe(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  subscription: Subscription,
): Promise<BulkParts> {
  const known = mirror.subscriptions.get(subscription.id)
  const others = ofSameKey(mirror, subscription.id)
  for (const { subscription: other } of others) mirror.wanted.delete(other.id)
  mirror.wanted.add(subscription.id)
  if (known !== undefined && JSON.stringify(known.subscription) === JSON.stringify(subscription)) {
    // Told to the connection, which asks the server again.
    if (mirror.refused.delete(subscription.id)) step.putSubscription(known)
    return planLeave(step, mirror, store, known.state === 'held' ? others : withNothingToShow(others))
  }
  const left = await planLeave(step, mirror, store, withNothingToShow(others))
  step.putSubscription({ subscription, state: 'new', from: null, next: null })
  if (known === undefined) return left
  return { ...left, commit: { ...left.commit, unstage: [subscription.id, ...(left.commit?.unstage ?? [])] } }
}

/** The other subscriptions that have the key of this one. */
export function ofSameKey(mirror: Mirror, id: string): readonly SubscriptionRecord[] {
  const key = subscriptionKey(id)
  if (key === undefined) return []
  return [...mirror.subscriptions.values()].filter(
    ({ subscription: other }) => other.id !== id && subscriptionKey(other.id) === key,
  )
}

function withNothingToShow(records: readonly SubscriptionRecord[]): readonly SubscriptionRecord[] {
  return records.filter(({ state }) => state !== 'held')
}

/**
 * The server refuses a subscription for good, or has taken it after all; lives as long as the replica is open. A
 * refused one gets no changes, so it is held no more: taken later, it is fetched anew.
 */
export function planRefused(step: Step, mirror: Mirror, id: string, isRefused: boolean): void {
  const record = mirror.subscriptions.get(id)
  if (isRefused && record !== undefined) mirror.refused.add(id)
  else mirror.refused.delete(id)
  if (record === undefined) return
  // Tells it to what waits until everything is here.
  const isHeld = isRefused && record.state === 'held'
  step.putSubscription(isHeld ? { ...record, state: 'new', from: null, next: null } : record)
}

/** Fetches a subscription anew. */
export function planRefetch(step: Step, mirror: Mirror, id: string): BulkParts {
  const record = mirror.subscriptions.get(id)
  if (record === undefined) return {}
  step.putSubscription({ subscription: record.subscription, state: 'new', from: null, next: null })
  return { commit: { unstage: [id] } }
}

/**
 * Stops following, with all that have the same key: rows that no other subscription holds go from this replica.
 * `isLost`: the server gives no access to this one, so the others stay.
 */
export async function planUnsubscribe(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  { id, isLost }: { readonly id: string; readonly isLost: boolean },
): Promise<BulkParts> {
  const record = mirror.subscriptions.get(id)
  if (record === undefined) return {}
  return planLeave(step, mirror, store, isLost ? [record] : [record, ...ofSameKey(mirror, id)])
}

async function planLeave(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  records: readonly SubscriptionRecord[],
): Promise<BulkParts> {
  if (records.length === 0) return {}
  const gone = new Set(records.map(({ subscription }) => subscription.id))
  for (const id of gone) {
    step.leaveSubscription(id)
    mirror.wanted.delete(id)
  }
  const keep = [...mirror.subscriptions.values()]
    .filter((other) => !gone.has(other.subscription.id) && other.state === 'held')
    .map((other) => other.subscription)
  const purges = purgesOfLeft(records, keep)
  await imagesAfterPurge(step, mirror, store, purges)
  const tables = new Map<string, TableChange>([...mirror.tables.keys()].map((name) => [name, { all: true }]))
  return { commit: { unstage: [...gone], purges }, tables }
}

/** What goes with subscriptions that are followed no more, but what `keep` holds. */
export function purgesOfLeft(records: readonly SubscriptionRecord[], keep: readonly Subscription[]): readonly Purge[] {
  return records.map(({ subscription: { channel, tables } }) => ({
    channel,
    keep,
    ...(tables === undefined ? {} : { tables }),
  }))
}
