import type { DownOf } from '../../protocol/messages/down.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'

/** A whole batch: all parts of one position put together, blocks with their sections. */
export interface ReceivedBatch extends Pick<
  DownOf<'batch'>,
  'to' | 'at' | 'deletes' | 'leaves' | 'settled' | 'activated' | 'resets'
> {
  readonly blocks: readonly PackedBlock[]
}

/** A page of a bootstrap, blocks with their sections. */
export interface ReceivedPage extends Pick<DownOf<'page'>, 'from' | 'next'> {
  readonly blocks: readonly PackedBlock[]
}
