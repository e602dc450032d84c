import { TideError } from '../../protocol/error.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import { zeroSeq } from '../../protocol/seq.ts'
import { tableOf } from '../store/holding.ts'
import type { StoredEntry, SubscriptionRecord } from '../store/store.ts'
import type { Mirror } from './mirror.ts'
import { planRedate } from './plan-redate.ts'
import { applyEffect } from './rebase.ts'
import { renameWrites } from './rename-writes.ts'
import type { BulkParts, Step } from './step.ts'

export type Welcome = DownOf<'welcome'>

/**
 * What the replica learns from a welcome. Throws `device_principal_mismatch` when it belongs to somebody else. A server
 * that cannot resume from the replica's cursor makes all subscriptions new; their rows stay visible until they are
 * replaced, and no write is lost: what the server does not know of any more is sent again. So does a server of another
 * schema, when rows came without columns that it may have now: `ADD COLUMN … DEFAULT` fills rows that are never sent
 * again.
 */
export function planWelcome(step: Step, mirror: Mirror, welcome: Welcome, newId: () => string): BulkParts {
  const { meta } = mirror
  checkOwner(meta.principal, meta.organizationId, welcome)
  const lost = lostWrites(mirror, welcome)
  // Whatever the server makes of the cursor: it is of a history that has ended where the backup was taken.
  const isRestored = lost.some(({ status, settled }) => status !== 'syncing' || settled)
  const mustStartOver = isRestored || !welcome.resume
  const hasOtherColumns = meta.lacksColumns && meta.schemaHash !== welcome.schemaHash
  const isOtherEpoch = meta.cursor !== null && meta.cursor.epoch !== welcome.epoch
  const isCountedAnew = (isRestored || isOfAnother(mirror, welcome)) && meta.clientSeq > welcome.clientSeq
  const isFirst = meta.principal === null || meta.organizationId === null
  step.setMeta({
    principal: welcome.principal,
    organizationId: welcome.organizationId,
    deviceId: welcome.deviceId,
    schemaHash: welcome.schemaHash,
    ...(hasOtherColumns ? { lacksColumns: false } : {}),
    ...(mustStartOver ? { loadedSeq: welcome.clientSeq } : {}),
    ...(isCountedAnew ? { formerSeq: Math.max(meta.clientSeq, meta.formerSeq) } : {}),
    // From nowhere: nothing is held as of it. It carries the epoch, to which staged pages belong.
    ...(mustStartOver || isOtherEpoch
      ? { cursor: { epoch: welcome.epoch, seq: mustStartOver ? zeroSeq : (meta.cursor?.seq ?? zeroSeq) } }
      : {}),
  })
  planRedate(step, mirror, welcome.serverTime, newId)
  // Rows written before the replica knew whose it is take their organization and author now.
  if (isFirst) for (const { table, rowId } of mirror.states.all) step.rewrite({ table, rowId })
  const isCloned = isAheadOfUs(mirror, welcome)
  if (!isCloned && (welcome.clientSeq < meta.clientSeq || hasOtherCounters(mirror, welcome)))
    renumber(step, mirror, lost, welcome.clientSeq)
  const gone: readonly SubscriptionRecord['state'][] = mustStartOver || hasOtherColumns ? ['held'] : []
  // Pages may have been read beyond the place where their epoch ended.
  return startOver(step, mirror, isOtherEpoch || isRestored || hasOtherColumns ? [...gone, 'staging'] : gone)
}

/**
 * The server's history is not the one that this replica knows; with `resume` its epoch is another one, and goes on from
 * ours.
 */
function isOfAnother({ meta }: Mirror, { epoch, resume }: Welcome): boolean {
  return meta.cursor !== null && meta.cursor.epoch !== epoch && !resume
}

/**
 * The ledger is of another history than the one in which counters were given anew, so they do not tell what it holds:
 * it may be of a later backup than the one before, whose history that one ended. What it has it answers by the ids.
 */
function hasOtherCounters(mirror: Mirror, welcome: Welcome): boolean {
  return mirror.meta.formerSeq > 0 && isOfAnother(mirror, welcome)
}

/** The ledger has counters that this replica never gave out: another copy of it has sent under its identity. */
export function isAheadOfUs(mirror: Mirror, welcome: Welcome): boolean {
  return welcome.clientSeq > Math.max(mirror.meta.clientSeq, mirror.meta.formerSeq)
}

function checkOwner(principal: Welcome['principal'] | null, organizationId: string | null, welcome: Welcome): void {
  const isOther =
    principal !== null && (principal.kind !== welcome.principal.kind || principal.id !== welcome.principal.id)
  if (!isOther && (organizationId === null || organizationId === welcome.organizationId)) return
  const owner = `${principal?.kind ?? 'organization'} ${principal?.id ?? organizationId}`
  throw new TideError(
    'device_principal_mismatch',
    `This replica belongs to ${owner} in organization ${organizationId}, and the token is of ${welcome.principal.kind} ${welcome.principal.id} in ${welcome.organizationId}.`,
  )
}

/**
 * The writes that the server does not have though they were sent, in the order in which it took or would have taken
 * them. What has no answer was lost on its way, or waits there. What has one was known to the ledger: it was restored
 * from a backup. Its answered writes are lost with it, those that had ended too, as far as they are kept here. Where
 * this device itself is new to the server, only another epoch tells that from a device that was removed there.
 */
export function lostWrites(mirror: Mirror, welcome: Welcome): readonly StoredEntry[] {
  const { meta } = mirror
  const known = hasOtherCounters(mirror, welcome) ? 0 : welcome.clientSeq
  if (known >= meta.clientSeq) return []
  const isRestored = meta.deviceId === welcome.deviceId || isOfAnother(mirror, welcome)
  const pending = mirror.outbox.sent.filter(
    ({ mutation, status, settled }) => mutation.clientSeq > known && (isRestored || (status === 'syncing' && !settled)),
  )
  return [...pending, ...(isRestored ? mirror.tail.after(known) : [])].toSorted(
    (a, b) => a.mutation.clientSeq - b.mutation.clientSeq,
  )
}

/** Lost writes go again under the same ids, counted on from where the ledger ends (it takes no gaps). */
function renumber(step: Step, mirror: Mirror, lost: readonly StoredEntry[], known: number): void {
  let next = known
  for (const entry of lost) {
    if (entry.status === 'synced' && !mirror.tables.has(entry.mutation.table)) continue
    next += 1
    if (entry.status === 'synced' || entry.settled) takeBack(step, mirror, entry)
    if (entry.status === 'synced') step.reopen(entry, next)
    else if (entry.status !== 'syncing' || entry.settled || entry.mutation.clientSeq !== next)
      step.put({
        ...entry,
        status: 'syncing',
        outcome: null,
        settled: false,
        ...(entry.status === 'syncing' ? {} : { awaits: null }),
        mutation: { ...entry.mutation, clientSeq: next },
      })
  }
  step.setMeta({ clientSeq: next })
}

/**
 * The row shows this write already, and will until it is fetched anew; laid over it once more, a counter would count
 * twice.
 */
function takeBack(step: Step, mirror: Mirror, { mutation }: StoredEntry): void {
  const { table, rowId, inc, at } = mutation
  const image = step.image({ table, rowId })
  if (inc === undefined || image === null) return
  const back = Object.fromEntries(Object.entries(inc).map(([name, amount]) => [name, -amount]))
  step.setImage(
    { table, rowId },
    applyEffect(tableOf(mirror.tables, table), image, { op: 'increment', rowId, inc: back, at }, step.meta),
  )
}

/** Subscriptions in these states from scratch. Also the way out of a replica that cannot apply what it is sent. */
export function startOver(step: Step, mirror: Mirror, states: readonly SubscriptionRecord['state'][]): BulkParts {
  const records = [...mirror.subscriptions.values()].filter((record) => states.includes(record.state))
  for (const { subscription } of records) step.putSubscription({ subscription, state: 'new', from: null, next: null })
  return records.length === 0 ? {} : { commit: { unstage: records.map(({ subscription }) => subscription.id) } }
}

/**
 * A cloned replica becomes a device of its own: what has no answer goes again under new ids, before everything that was
 * never sent, and is counted from 1.
 */
export function planNewIdentity(step: Step, mirror: Mirror, newId: () => string): void {
  step.setMeta({ fingerprint: newId(), deviceId: null, clientSeq: 0, formerSeq: 0 })
  // Their counters are of the old identity, and nobody can tell any more what the server has of them.
  step.forgetEnded()
  for (const entry of mirror.outbox.sent)
    if (entry.status !== 'syncing') step.put({ ...entry, mutation: { ...entry.mutation, clientSeq: 0 } })
  const unanswered = mirror.outbox.entries.filter((entry) => entry.status === 'syncing')
  // Its effect has come back: only the answer is missing, and the new device would never get it.
  for (const entry of unanswered) if (entry.settled) step.end(entry.mutation.id, 'synced')
  renameWrites(
    step,
    mirror,
    unanswered.filter((entry) => !entry.settled),
    newId,
  )
}
