import { TideError } from '../../protocol/error.ts'
import { rowId } from '../../protocol/rows/row.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import { compareRanges, RangeSums, type RangeSum } from '../../protocol/rows/verify.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { ConnectionView } from '../connection/connection-view.ts'
import type { ReplicaView } from '../replica/replica-view.ts'

/** Where replica and server differed; the whole subscription concerned was fetched again. */
export interface Difference {
  readonly channel: string
  /** SQL name. */
  readonly table: string
  /** Last hex digit of the ids concerned. */
  readonly range: number
}

export type Verification =
  | { readonly equal: true }
  | { readonly equal: false; readonly repaired: readonly Difference[] }

export interface VerifyParts {
  readonly schema: Schema
  readonly replica: ReplicaView
  readonly connection: ConnectionView
  /** Resolves when a change of the replica has made it true. */
  until(isThere: () => boolean): Promise<void>
}

/** The answer is as of a log position that the replica may have passed already; then it is asked for again. */
const tries = 10

/**
 * Compares each held subscription with the server: counts and hashes of ids and versions, at the same log position.
 * A subscription that differs is fetched again as a whole, its old rows staying visible until the new ones are
 * complete; resolves when they are.
 */
export async function verifyReplica(parts: VerifyParts): Promise<Verification> {
  const differences: Difference[] = []
  const refetched = new Set<string>()
  for (const { subscription, state } of parts.replica.subscriptions) {
    if (state !== 'held') continue
    const found = await differencesOf(parts, subscription)
    differences.push(...found)
    if (found.length === 0) continue
    await parts.replica.refetch(subscription.id)
    refetched.add(subscription.id)
  }
  const isRepaired = (): boolean =>
    // One that is gone meanwhile, unsubscribed or revoked, needs no repair.
    parts.replica.subscriptions.every(({ subscription: { id }, state }) => state === 'held' || !refetched.has(id))
  if (refetched.size > 0) await parts.until(isRepaired)
  return differences.length === 0 ? { equal: true } : { equal: false, repaired: differences }
}

async function differencesOf(parts: VerifyParts, subscription: Subscription): Promise<readonly Difference[]> {
  const known = new Set(Object.values(parts.schema).map(({ name }) => name))
  for (let attempt = 0; attempt < tries; attempt++) {
    const theirs = await parts.connection.verify(subscription.id)
    // Of a newer server's tables nothing is here.
    const tables = theirs.tables.filter(({ table }) => known.has(table))
    const mine = await sumsAt(
      parts,
      subscription,
      theirs.to,
      tables.map(({ table }) => table),
    )
    if (mine === null) continue
    return tables.flatMap(({ table, ranges }) =>
      compareRanges(mine.get(table) ?? [], ranges).map((range) => ({ channel: subscription.channel, table, range })),
    )
  }
  throw new TideError('timeout', `${subscription.channel} changes faster than it can be compared.`, {
    remedy: 'Verify again when there is less traffic.',
  })
}

/** What the replica holds of a subscription as the server last sent it; null if it is not at that position. */
async function sumsAt(
  parts: VerifyParts,
  subscription: Subscription,
  seq: number,
  tables: readonly string[],
): Promise<ReadonlyMap<string, readonly RangeSum[]> | null> {
  const sums = new Map(tables.map((table) => [table, new RangeSums()]))
  const isAtPosition = await parts.replica.serverRows(subscription, seq, tables, (table, row) => {
    sums.get(table)?.add(rowId(row), Number(row['version'] ?? 0))
  })
  return isAtPosition ? new Map([...sums].map(([table, sum]) => [table, sum.toRanges()])) : null
}
