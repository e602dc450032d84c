import { isSubChannel } from '../../protocol/rows/channel.ts'
import { rowId as idOf, type Row } from '../../protocol/rows/row.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import {
  compileHolds,
  compileReach,
  hangingUnder,
  names,
  parentOf,
  subChannels,
  tableOf,
  type Here,
  type ParentRef,
} from '../store/holding.ts'
import type { Outdated, Purge, ReplicaStore, RowState, Swap } from '../store/store.ts'
import type { Mirror } from './mirror.ts'
import { loadDecidingRows } from './reach.ts'
import type { Step } from './step.ts'

/**
 * A swap replaces rows in the store; the rows with pending writes among them take the staged row as their new image, or
 * lose their image when this subscription held them and has them no more. All are written again after the swap.
 */
export async function imagesAfterSwap(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  swaps: readonly Swap[],
): Promise<void> {
  const states = mirror.states.all
  const here = await decidingRowsOf(mirror, store, states)
  for (const { subscription, others } of swaps) {
    const tables = [...mirror.states.tables].filter((table) => subscription.tables?.includes(table) ?? true)
    for (const table of tables) {
      const ofTable = mirror.states.of(table)
      const staged = new Map(
        (await store.staged(subscription.id, table, [...ofTable.keys()])).map((row) => [idOf(row), row]),
      )
      const holds = testOf(mirror, table, [subscription], here)
      const keeps = testOf(mirror, table, others, here)
      const images = [...ofTable.keys()].map((rowId) => step.image({ table, rowId })).filter((image) => image !== null)
      const isUnder = await underStaged(mirror, store, subscription.id, table, images)
      for (const rowId of ofTable.keys()) {
        const ref = { table, rowId }
        const image = step.image(ref)
        const row = staged.get(rowId)
        if (row !== undefined) step.setImage(ref, { ...image, ...row })
        else if (image !== null && (holds(image) || isUnder(image)) && !keeps(image)) step.setImage(ref, null)
        else step.rewrite(ref)
      }
    }
  }
}

/**
 * After a purge: images that no remaining subscription holds go with the rows; what this replica itself has written
 * stays visible.
 */
export async function imagesAfterPurge(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  purges: readonly Purge[],
): Promise<void> {
  const states = mirror.states.all
  const here = await decidingRowsOf(mirror, store, states)
  for (const { channel, keep } of purges) {
    const reach = compileReach(mirror.tables, channel, here)
    const isSub = isSubChannel(channel)
    for (const name of mirror.states.tables) {
      const table = tableOf(mirror.tables, name)
      const keeps = testOf(mirror, name, keep, here)
      for (const rowId of mirror.states.of(name).keys()) {
        const ref = { table: name, rowId }
        const image = step.image(ref)
        const isGone = image !== null && reach(table, image) === true && (isSub || !keeps(image))
        if (isGone) step.setImage(ref, null)
        else step.rewrite(ref)
      }
    }
  }
}

/** After rows went that were older than what they hang under (`Outdated`): so do their images. */
export async function imagesAfterOutdated(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  outdated: readonly Outdated[],
): Promise<void> {
  const here = await decidingRowsOf(mirror, store, mirror.states.all)
  for (const { table: parent, ids, held } of outdated) {
    const above = new Set<string | undefined>(ids)
    for (const table of hangingUnder(mirror.tables, parent)) {
      if (!held.some((subscription) => names(subscription, table))) continue
      const keeps = testOf(mirror, table.name, held, here)
      for (const rowId of mirror.states.of(table.name).keys()) {
        const ref = { table: table.name, rowId }
        const image = step.image(ref)
        const over = image === null ? undefined : parentIn(mirror, table.name, image)
        const isGone = image !== null && over?.table.name === parent && above.has(over.id) && !keeps(image)
        if (isGone) step.setImage(ref, null)
        else step.rewrite(ref)
      }
    }
  }
}

/** Whether rows of a table hang under one that is staged for the subscription. */
async function underStaged(
  mirror: Mirror,
  store: ReplicaStore,
  subscription: string,
  table: string,
  rows: readonly Row[],
): Promise<(row: Row) => boolean> {
  const staged = new Set<string>()
  const parents = Map.groupBy(
    rows.flatMap((row) => parentIn(mirror, table, row) ?? []),
    (parent) => parent.table.name,
  )
  for (const [name, refs] of parents) {
    const ids = refs.flatMap(({ id }) => id ?? [])
    for (const row of await store.staged(subscription, name, ids)) staged.add(`${name}/${idOf(row)}`)
  }
  return (row) => {
    const parent = parentIn(mirror, table, row)
    return parent !== undefined && staged.has(`${parent.table.name}/${parent.id}`)
  }
}

function parentIn({ tables }: Mirror, table: string, row: Row): ParentRef | undefined {
  return parentOf(tables, subChannels(tables), tableOf(tables, table), row)
}

function decidingRowsOf(mirror: Mirror, store: ReplicaStore, states: readonly RowState[]): Promise<Here> {
  const rows = states.flatMap(({ table, serverImage }) => (serverImage === null ? [] : [{ table, row: serverImage }]))
  return loadDecidingRows(mirror.tables, store, rows)
}

function testOf(
  mirror: Mirror,
  table: string,
  subscriptions: readonly Subscription[],
  here: Here,
): (row: Row) => boolean {
  return compileHolds(mirror.tables, tableOf(mirror.tables, table), subscriptions, here)
}
