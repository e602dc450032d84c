import { blocksOf } from '../../protocol/block-frame.ts'
import { decodeFrame } from '../../protocol/frame.ts'
import type { Down, DownOf } from '../../protocol/messages/down.ts'
import { columnValues } from '../../protocol/rows/column-unpack.ts'

/** A batch as a light client sees it: the `position` of each task in it. */
export interface SeenBatch {
  readonly message: DownOf<'batch'>
  readonly positions: readonly number[]
}

/** Turns the bytes of a frame into a message, and the blocks of a batch into positions. */
export type Decode = (frame: Uint8Array) => Exclude<Down, { type: 'batch' }> | SeenBatch

/**
 * Takes a frame apart, parses its header as JSON and reads the column `position` of `tasks`. The schema check and the
 * other columns are left out: that is the replica's work, which the workloads with the SDK measure.
 */
export const decode: Decode = (frame) => {
  const { message, sections } = decodeFrame(frame)
  const down = message as Down
  if (down.type !== 'batch') return down
  const positions: number[] = []
  for (const { block, sections: own } of blocksOf(down.blocks, sections)) {
    const column = block.table === 'tasks' ? block.columns.find(({ name }) => name === 'position') : undefined
    if (!column) continue
    for (const position of columnValues(column, own, block.count)) positions.push(Number(position))
  }
  return { message: down, positions }
}

/**
 * One decoder for many clients: a frame that is byte for byte the last one decoded is not decoded again. Every client
 * still receives every byte; only the work of a thousand machines is not done by the one that plays them all.
 */
export function createSharedDecode(): Decode {
  let last: { readonly frame: Buffer; readonly decoded: ReturnType<Decode> } | undefined
  return (frame) => {
    if (last && frame.byteLength === last.frame.byteLength && last.frame.equals(frame)) return last.decoded
    const decoded = decode(frame)
    last = { frame: Buffer.from(frame), decoded }
    return decoded
  }
}
