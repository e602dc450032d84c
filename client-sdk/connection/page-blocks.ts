import { blocksOf, unpackBlocks } from '../../protocol/block-frame.ts'
import { TideError } from '../../protocol/error.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import { inflate } from './inflate.ts'

/** The blocks of a page, inflated where they were deflated. Throws `TideError` `bad_frame`. */
export async function pageBlocks(
  { blocks, deflated }: Pick<DownOf<'page'>, 'blocks' | 'deflated'>,
  sections: readonly Uint8Array[],
): Promise<PackedBlock[]> {
  if (deflated === undefined) return blocksOf(blocks, sections)
  const [section] = sections
  if (section === undefined) throw new TideError('bad_frame', 'A deflated page has no section.')
  return unpackBlocks(await inflate(section, deflated))
}
