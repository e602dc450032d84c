import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { compileHolds, tableOf } from '../store/holding.ts'
import type { ReplicaStore } from '../store/store.ts'
import type { Mirror } from './mirror.ts'
import { loadDecidingRows } from './reach.ts'
import type { Step } from './step.ts'

/**
 * A write may settle before the subscription that will bring its row is complete, for the first time or anew: nothing
 * has come back yet, but it is on its way. Such a row stays as its writer sees it until the swap, or the write would
 * vanish for a moment (promise 3). Rows that a complete subscription holds came with this batch, which may itself have
 * `completed` some. Called before the writes are settled.
 */
export async function keepUntilHeld(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  settled: readonly string[],
  completed: readonly Subscription[],
): Promise<void> {
  const ids = new Set(completed.map(({ id }) => id))
  const inState = (isHeld: boolean): readonly Subscription[] =>
    [...mirror.subscriptions.values()]
      .filter(({ state, subscription }) => (state === 'held' || ids.has(subscription.id)) === isHeld)
      .map(({ subscription }) => subscription)
  const coming = inState(false)
  if (coming.length === 0) return
  const lonely: { readonly table: string; readonly rowId: string; readonly row: Row }[] = []
  for (const id of settled) {
    const entry = step.entry(id)
    if (entry === undefined || entry.settled) continue
    const { table, rowId } = entry.mutation
    const row = step.visible({ table, rowId })
    if (row !== null) lonely.push({ table, rowId, row })
  }
  const here = await loadDecidingRows(mirror.tables, store, lonely)
  for (const { table, rowId, row } of lonely) {
    const ref = { table, rowId }
    const holds = (subscriptions: readonly Subscription[]): boolean =>
      compileHolds(mirror.tables, tableOf(mirror.tables, table), subscriptions, here)(row)
    const image = step.image(ref)
    // Version 0: kept here before, and written again since.
    const isHere = image !== null && image['version'] !== 0 && holds(inState(true))
    if (!isHere && holds(coming)) step.setImage(ref, row)
  }
}
