import type { Row } from '../../protocol/rows/row.ts'
import { compileHolds, tableOf } from '../store/holding.ts'
import type { ReplicaStore } from '../store/store.ts'
import type { Mirror } from './mirror.ts'
import { loadWitnesses } from './reach.ts'
import type { Step } from './step.ts'

/**
 * A write may settle before the subscription that will bring its row is complete: nothing has come back yet, but it is
 * on its way. Such a row stays as its writer sees it until the swap, or it would vanish for a moment (promise 3). Called
 * before the writes are settled.
 */
export async function keepUntilHeld(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  settled: readonly string[],
): Promise<void> {
  const coming = [...mirror.subscriptions.values()]
    .filter(({ state }) => state !== 'held')
    .map(({ subscription }) => subscription)
  if (coming.length === 0) return
  const lonely: { readonly table: string; readonly rowId: string; readonly row: Row }[] = []
  for (const id of settled) {
    const entry = step.entry(id)
    if (entry === undefined || entry.settled) continue
    const { table, rowId } = entry.mutation
    const image = step.image({ table, rowId })
    // Version 0: kept here before, and written again since.
    const row = image === null || image['version'] === 0 ? step.visible({ table, rowId }) : null
    if (row !== null) lonely.push({ table, rowId, row })
  }
  const here = await loadWitnesses(mirror.tables, store, lonely)
  for (const { table, rowId, row } of lonely) {
    if (compileHolds(mirror.tables, tableOf(mirror.tables, table), coming, here)(row))
      step.setImage({ table, rowId }, row)
  }
}
