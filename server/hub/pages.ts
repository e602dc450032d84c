import type { Clock } from '../../lib/clock.ts'
import { frameOf } from '../../protocol/block-frame.ts'
import { packRows } from '../../protocol/rows/block-codec.ts'
import { rowBytes } from './compose.ts'
import type { Feed } from './feed.ts'
import { Slots } from './slots.ts'
import type { DownTables, Spec } from './spec.ts'

export interface PageAsked {
  readonly spec: Spec
  /** Its id goes into the frame. */
  readonly subscription: string
  readonly after: string | null
  readonly maxRows: number
}

/** A page as it is sent. */
export interface PageFrame {
  readonly frame: Uint8Array
  /** Mean bytes of its rows; undefined when it has none. */
  readonly rowBytes: number | undefined
}

/** How long a first page may serve others. Milliseconds. */
const sharedMs = 2000
/** First pages kept at a time: with pages of 2 MiB, 32 MiB. */
const sharedPages = 16

/**
 * Pages of bootstraps, a few read at a time. Agents often start together and ask for the same: a first page is read and
 * packed once for all that ask within two seconds, and they get the very same bytes. That is safe for first pages only:
 * the position a page was read at is where its session's catch-up begins, and no later page may be older than that.
 */
export class Pages {
  readonly #feed: Feed
  readonly #tables: DownTables
  readonly #clock: Clock
  readonly #slots: Slots
  readonly #first = new Map<string, Promise<PageFrame>>()
  #reads = 0

  constructor(feed: Feed, tables: DownTables, clock: Clock, concurrent: number) {
    this.#feed = feed
    this.#tables = tables
    this.#clock = clock
    this.#slots = new Slots(concurrent)
  }

  /** Pages read so far; shared ones count once. */
  get reads(): number {
    return this.#reads
  }

  get(asked: PageAsked): Promise<PageFrame> {
    if (asked.after !== null) return this.#read(asked)
    const key = JSON.stringify([asked.subscription, asked.maxRows, asked.spec.key])
    const known = this.#first.get(key)
    if (known !== undefined) return known
    const page = this.#read(asked)
    if (this.#first.size >= sharedPages) return page
    this.#first.set(key, page)
    const forget = (): void => {
      if (this.#first.get(key) === page) this.#first.delete(key)
    }
    this.#clock.after(sharedMs, forget)
    page.catch(forget)
    return page
  }

  #read({ spec, subscription, after, maxRows }: PageAsked): Promise<PageFrame> {
    return this.#slots.run(async () => {
      this.#reads++
      const { embeddings } = spec.selection
      const { from, tables, next } = await this.#feed.page({ selection: spec.selection, after, maxRows })
      const blocks = tables.flatMap(({ table, rows }) => {
        const descriptor = this.#tables.get(table)
        return descriptor && rows.length > 0 ? [packRows(descriptor, rows, { embeddings })] : []
      })
      const rows = tables.flatMap((table) => table.rows)
      const bytes = rows.reduce((sum, row) => sum + rowBytes(row, embeddings), 0)
      return {
        frame: frameOf({ type: 'page', subscription, from, next }, blocks),
        rowBytes: rows.length === 0 ? undefined : 1 + bytes / rows.length,
      }
    })
  }
}
