import { rowId as idOf } from '../../protocol/rows/row.ts'
import { isActive } from '../outbox/outbox.ts'
import { toWire } from '../outbox/wire-value.ts'
import type { ReplicaStore } from '../store/store.ts'
import type { Step } from './step.ts'
import type { CheckedDraft } from './write-draft.ts'

/**
 * The draft with the row from which it takes a place that one row at a time has, as far as this replica knows. Where
 * this device has given it to several rows since it last heard of the server, it is the last of them.
 */
export async function withHolder(step: Step, store: ReplicaStore, draft: CheckedDraft): Promise<CheckedDraft> {
  const { table, rowId, set } = draft
  const { exclusive } = table
  if (exclusive === undefined || set[exclusive.flag] !== true) return draft
  const row = step.visible({ table: table.name, rowId })
  const { organizationId } = step.meta
  const alike = exclusive.by.map((property): [string, ReturnType<typeof toWire>] => [
    property,
    toWire(set[property] ?? row?.[property] ?? table.columns[property]?.default ?? null),
  ])
  const where = { ...Object.fromEntries(alike), [exclusive.flag]: true }
  const holders = (await store.query(table.name, { where })).filter(
    (other) => idOf(other) !== rowId && (other['organizationId'] ?? null) === organizationId,
  )
  const givenAt = (id: string): number =>
    step
      .pendingOf({ table: table.name, rowId: id })
      .filter((entry) => isActive(entry) && entry.mutation.set?.[exclusive.flag] === true)
      .reduce((last, { position }) => Math.max(last, position), 0)
  const last = holders.map(idOf).toSorted((a, b) => givenAt(b) - givenAt(a))[0]
  return { ...draft, holder: last ?? null }
}
