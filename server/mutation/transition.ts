import type { TableDescriptor } from '../../protocol/rows/table.ts'

type Moves = NonNullable<TableDescriptor['transitions']>

/**
 * Whether a status may go from one value to another by legal hops. An offline device may skip steps it has done
 * meanwhile (pending → completed), but a skip never passes through the initial status: that would be a reset nobody
 * asked for (blocked → pending → completed), and would make every move legal.
 */
export function mayMove(table: TableDescriptor, from: string, to: string): boolean {
  const moves = table.transitions
  if (!moves || from === to) return true
  const initial = initialStatus(table)
  const seen = new Set([from])
  const open = [from]
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    for (const next of moves[state] ?? []) {
      if (next === to) return true
      if (next === initial || seen.has(next)) continue
      seen.add(next)
      open.push(next)
    }
  }
  return false
}

/** A status from which the only way is back to the start: the work has ended there, and only members reopen it. */
export function isFinal(table: TableDescriptor, status: string): boolean {
  const next: Moves[string] = table.transitions?.[status] ?? []
  return table.transitions !== undefined && next.every((move) => move === initialStatus(table))
}

function initialStatus(table: TableDescriptor): unknown {
  return table.columns['status']?.default
}
