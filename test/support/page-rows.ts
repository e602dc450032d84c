import { packedToRows } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { Catalog } from '../../server/catalog/catalog.ts'

/** The rows of a page's blocks with their tables, in order. */
export function rowsOfBlocks(
  catalog: Catalog,
  blocks: readonly PackedBlock[],
): readonly { readonly table: string; readonly row: Row }[] {
  return blocks.flatMap((packed) => {
    const { table } = packed.block
    const descriptor = catalog.synced.get(table)?.descriptor
    return descriptor ? packedToRows(descriptor, packed).map((row) => ({ table, row })) : []
  })
}
