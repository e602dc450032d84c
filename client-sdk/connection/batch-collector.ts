import { TideError } from '../../protocol/error.ts'
import { blocksOf } from '../../protocol/block-frame.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { ReceivedBatch } from '../replica/received.ts'

/**
 * Bytes of sections, and rows, that the parts of one batch may have together before the replica asks for a bootstrap
 * instead.
 */
const maxBytes = 512 * 1024 * 1024
const maxRows = 2_000_000

/** Puts the parts of a batch together; nothing of it is applied before its last part is here. */
export class BatchCollector {
  #parts: DownOf<'batch'>[] = []
  #blocks: PackedBlock[] = []
  #bytes = 0
  #rows = 0

  /**
   * The whole batch when this was its last part, else null. Throws when parts of different batches mix, or there are
   * too many.
   */
  add(message: DownOf<'batch'>, sections: readonly Uint8Array[]): ReceivedBatch | null {
    const [first] = this.#parts
    if (first !== undefined && first.to !== message.to) {
      throw new TideError('bad_message', `A part of batch ${message.to} came in the middle of batch ${first.to}.`)
    }
    for (const packed of blocksOf(message.blocks, sections)) this.#blocks.push(packed)
    this.#parts.push(message)
    this.#rows += message.blocks.reduce((sum, block) => sum + block.count, 0)
    this.#bytes += sections.reduce((sum, section) => sum + section.byteLength, 0)
    if (this.#bytes > maxBytes || this.#rows > maxRows) {
      throw new TideError(
        'message_too_large',
        `Batch ${message.to} has more than ${this.#rows} rows in ${this.#bytes} bytes, too many to apply at once.`,
      )
    }
    return message.more ? null : this.#take(message)
  }

  #take({ to, at }: DownOf<'batch'>): ReceivedBatch {
    const parts = this.#parts
    const blocks = this.#blocks
    this.#parts = []
    this.#blocks = []
    this.#bytes = 0
    this.#rows = 0
    return {
      to,
      at,
      blocks,
      deletes: parts.flatMap((part) => part.deletes),
      leaves: parts.flatMap((part) => part.leaves),
      settled: parts.flatMap((part) => part.settled),
      activated: parts.flatMap((part) => part.activated),
      resets: parts.flatMap((part) => part.resets),
    }
  }
}
