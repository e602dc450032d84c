// A session's other end that keeps what it hears, and waits for what is to come.
import { blocksOf } from '../../protocol/block-frame.ts'
import type { Down, DownOf } from '../../protocol/messages/down.ts'
import { parseDown } from '../../protocol/parse.ts'
import { packedToRows } from '../../protocol/rows/block-codec.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'

export interface Heard {
  readonly message: Down
  readonly frame: Uint8Array
  /** By table, for pages and batches. */
  readonly rows: ReadonlyMap<string, readonly Row[]>
}

export class FrameLog {
  readonly heard: Heard[] = []
  readonly #tables: (name: string) => TableDescriptor | undefined
  readonly #waiting = new Set<() => void>()
  #read = 0

  constructor(tables: (name: string) => TableDescriptor | undefined) {
    this.#tables = tables
  }

  readonly send = (frame: Uint8Array): void => {
    const { message, sections } = parseDown(frame)
    const rows = new Map<string, readonly Row[]>()
    for (const packed of 'blocks' in message ? blocksOf(message.blocks, sections) : []) {
      const table = this.#tables(packed.block.table)
      if (table) rows.set(table.name, [...(rows.get(table.name) ?? []), ...packedToRows(table, packed)])
    }
    this.heard.push({ message, frame, rows })
    for (const wake of this.#waiting) wake()
  }

  /** The next message of this type that passes the test, after those already taken. Others before it are skipped. */
  async next<T extends Down['type']>(
    type: T,
    test: (message: DownOf<T>, heard: Heard) => boolean = () => true,
  ): Promise<Heard & { readonly message: DownOf<T> }> {
    for (;;) {
      while (this.#read < this.heard.length) {
        const heard = this.heard[this.#read++]
        if (heard && isOf(heard, type) && test(heard.message, heard)) return heard
      }
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake)
          resolve()
        }
        this.#waiting.add(wake)
      })
    }
  }
}

function isOf<T extends Down['type']>(heard: Heard, type: T): heard is Heard & { readonly message: DownOf<T> } {
  return heard.message.type === type
}
