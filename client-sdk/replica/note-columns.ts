import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { Mirror } from './mirror.ts'
import type { Step } from './step.ts'

/**
 * Remembers that rows came without columns that are known here. Their values are not empty, only unknown: once the
 * server has the columns it may hold others for rows that nobody writes any more (`planWelcome`).
 */
export function noteColumns(step: Step, mirror: Mirror, blocks: readonly PackedBlock[]): void {
  if (step.meta.lacksColumns) return
  const lacks = blocks.some((packed) => {
    const table = mirror.tables.get(packed.block.table)
    return table !== undefined && isShortOf(table, packed)
  })
  if (lacks) step.setMeta({ lacksColumns: true })
}

/** Vectors do not count: they travel only where they were asked for. */
function isShortOf({ columns }: TableDescriptor, { block }: PackedBlock): boolean {
  const sent = new Set(block.columns.map(({ name }) => name))
  return Object.entries(columns).some(([name, { type }]) => type !== 'vector' && !sent.has(name))
}
