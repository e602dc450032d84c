import { decodeFrame, encodeFrame } from './frame.ts'
import type { Down } from './messages/down.ts'
import type { ColumnBlock, PackedBlock, TableBlock } from './rows/block.ts'
import { badBlock, checkBlock } from './rows/column-check.ts'

type BlockMessage = Extract<Down, { readonly blocks: unknown }>
type WithoutBlocks<T> = T extends unknown ? Omit<T, 'blocks'> : never

/** One frame of a message and its blocks; what the message already has under `blocks` is replaced. */
export function frameOf(
  message: BlockMessage | WithoutBlocks<BlockMessage>,
  packedBlocks: readonly PackedBlock[],
): Uint8Array {
  const { blocks, sections } = together(packedBlocks)
  return encodeFrame({ message: { ...message, blocks }, sections })
}

/** The blocks of a page as they are deflated: a frame of their own, whose header is the list of them. */
export function packBlocks(packedBlocks: readonly PackedBlock[]): Uint8Array {
  const { blocks, sections } = together(packedBlocks)
  return encodeFrame({ message: blocks, sections })
}

/** Reads what `packBlocks` made. Throws `TideError` `bad_frame`. */
export function unpackBlocks(bytes: Uint8Array): PackedBlock[] {
  const { message, sections } = decodeFrame(bytes)
  if (!Array.isArray(message)) throw badBlock('', 'the header of a deflated page is no list')
  return blocksOf(message as readonly TableBlock[], sections)
}

function together(packedBlocks: readonly PackedBlock[]): {
  readonly blocks: readonly TableBlock[]
  readonly sections: readonly Uint8Array[]
} {
  const sections: Uint8Array[] = []
  const blocks = packedBlocks.map((packed) => {
    const start = sections.length
    for (const section of packed.sections) sections.push(section)
    return withSections(packed.block, (section) => section + start)
  })
  return { blocks, sections }
}

/**
 * The blocks of a message, each with its own sections, as they were handed to `frameOf`. Sections stay views into the
 * frame. Throws `TideError` `bad_frame` when a block does not add up.
 */
export function blocksOf(blocks: readonly TableBlock[], sections: readonly Uint8Array[]): PackedBlock[] {
  return blocks.map((block) => {
    checkBlock(block, sections)
    const own: Uint8Array[] = []
    const renumbered = withSections(block, (index) => {
      const section = sections[index]
      if (!section) throw badBlock(block.table, `section ${index} is missing`)
      return own.push(section) - 1
    })
    return { block: renumbered, sections: own }
  })
}

function withSections(block: TableBlock, renumber: (section: number) => number): TableBlock {
  const columns = block.columns.map((column): ColumnBlock => {
    if (!('section' in column)) return column
    const section = renumber(column.section)
    if (column.kind === 'dict' || column.kind === 'list') return { ...column, section }
    const lengths = column.kind === 'text' ? { lengths: renumber(column.lengths) } : {}
    const present = column.present === undefined ? {} : { present: renumber(column.present) }
    return { ...column, section, ...lengths, ...present }
  })
  return { ...block, columns }
}
