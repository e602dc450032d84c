import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { OutboxEntry } from '../store/store.ts'
import { isActive } from './outbox.ts'
import type { RowRef } from './row-key.ts'

/** Most dependencies one write may name; the newest are kept, older ones follow through them. */
const maxDependencies = 100

type Unsent = Pick<OutboxEntry['mutation'], 'op' | 'set' | 'rowId'>

/**
 * The earlier writes without which a new one makes no sense: those under way on the same row that it builds upon, and
 * the inserts of rows that it refers to. Patches of other columns and increments of the same row are not among them, so
 * that a refused one takes no innocent write with it. Ids in call order.
 */
export function dependenciesOf(
  table: TableDescriptor,
  next: Unsent,
  pendingOf: (ref: RowRef) => readonly OutboxEntry[],
): readonly string[] {
  const found = new Map<string, number>()
  const add = (entry: OutboxEntry): void => void found.set(entry.mutation.id, entry.position)
  for (const entry of pendingOf({ table: table.name, rowId: next.rowId })) {
    if (isActive(entry) && buildsUpon(next, entry.mutation)) add(entry)
  }
  for (const [column, value] of Object.entries(next.set ?? {})) {
    const references = table.columns[column]?.references
    if (references === undefined || typeof value !== 'string') continue
    const target = { table: references, rowId: value }
    pendingOf(target)
      .filter((entry) => isActive(entry) && entry.mutation.op === 'insert')
      .forEach(add)
  }
  const ordered = [...found].toSorted(([, a], [, b]) => a - b).map(([id]) => id)
  return ordered.slice(-maxDependencies)
}

function buildsUpon(next: Unsent, earlier: Unsent): boolean {
  if (earlier.op === 'increment') return false
  if (earlier.op !== 'patch') return true
  // A delete carries the whole row as its base, the values of earlier patches included.
  if (next.op === 'delete') return true
  return next.op === 'patch' && Object.keys(earlier.set ?? {}).some((column) => column in (next.set ?? {}))
}

/**
 * Ids of the writes that fall together with the given ones: all of their groups, whatever depends on them, and so on.
 * Only those that `mayFall` accepts are followed; the given ones are always among the answer.
 */
export function closureOf(
  ids: Iterable<string>,
  entries: readonly OutboxEntry[],
  mayFall: (entry: OutboxEntry) => boolean,
): ReadonlySet<string> {
  const fallen = new Set(ids)
  const groups = new Set<string>()
  for (const entry of entries) {
    if (fallen.has(entry.mutation.id) && entry.mutation.group !== undefined) groups.add(entry.mutation.group)
  }
  for (let before = -1; before !== fallen.size;) {
    before = fallen.size
    for (const entry of entries) {
      const { id, group, dependsOn } = entry.mutation
      if (fallen.has(id) || !mayFall(entry)) continue
      if (!(dependsOn ?? []).some((other) => fallen.has(other)) && (group === undefined || !groups.has(group))) continue
      fallen.add(id)
      if (group !== undefined) groups.add(group)
    }
  }
  return fallen
}
