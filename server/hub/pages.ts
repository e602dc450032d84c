import { promisify } from 'node:util'
import { deflateRaw } from 'node:zlib'
import type { Clock } from '../../lib/clock.ts'
import { frameOf, packBlocks } from '../../protocol/block-frame.ts'
import { encodeFrame } from '../../protocol/frame.ts'
import type { Seq } from '../../protocol/seq.ts'
import type { Feed, PageResult } from './feed.ts'
import type { HubLimits } from './limits.ts'
import { Slots } from '../../lib/slots.ts'
import type { Spec } from './spec.ts'

export interface PageAsked {
  /** Of the session: what was read before the epoch changed is not for those who start over because of it. */
  readonly epoch: string
  readonly spec: Spec
  /** Its id goes into the frame. */
  readonly subscription: string
  readonly after: string | null
}

/** A page as it is sent. */
export interface PageFrame {
  readonly frame: Uint8Array
  /** The newest commit that it shows. */
  readonly shows: Seq
  /** Where the next one begins; null: this is the last. */
  readonly next: string | null
}

/** How long a first page may serve others, and one read ahead may wait. Milliseconds. */
const keptMs = 2000
/** First pages kept at a time: with pages of 2 MiB, 32 MiB. */
const sharedPages = 16
/** Pages read ahead at a time, all sessions together. */
const pagesAhead = 4

/** Bytes from which a page is deflated. */
const deflateFrom = 16 * 1024
/** The quickest: 4 times smaller at 2 µs a row; higher levels gain a few percent. */
const deflateLevel = 1

export type PageLimits = Pick<HubLimits, 'pageRows' | 'pageBytes' | 'concurrentPages'>

/**
 * Pages of bootstraps, a few read at a time. Agents often start together and ask for the same: a first page is read and
 * packed once for all that ask within two seconds, and they get the very same bytes. That is safe for first pages only:
 * the position a page was read at is where its session's catch-up begins, and no later page may be older than that.
 */
export class Pages {
  readonly #feed: Feed
  readonly #clock: Clock
  readonly #limits: PageLimits
  readonly #slots: Slots
  readonly #first = new Map<string, Promise<PageFrame>>()
  #reads = 0
  #ahead = 0

  constructor(feed: Feed, clock: Clock, limits: PageLimits) {
    this.#feed = feed
    this.#clock = clock
    this.#limits = limits
    this.#slots = new Slots(limits.concurrentPages)
  }

  /** Pages read so far; shared ones count once. */
  get reads(): number {
    return this.#reads
  }

  /** Whoever asks has its turn after the others who wait, however many pages it asks for. */
  get(asked: PageAsked, by: object): Promise<PageFrame> {
    if (asked.after !== null) return this.#read(asked, by)
    const key = JSON.stringify([asked.epoch, asked.subscription, asked.spec.key])
    const known = this.#first.get(key)
    if (known !== undefined) return known
    const page = this.#read(asked, by)
    if (this.#first.size >= sharedPages) return page
    this.#first.set(key, page)
    const forget = (): void => {
      if (this.#first.get(key) === page) this.#first.delete(key)
    }
    this.#clock.after(keptMs, forget)
    page.catch(forget)
    return page
  }

  /** Somebody was too far behind: who begins anew must not be given a first page of before that. */
  forget(): void {
    this.#first.clear()
  }

  /**
   * Reads a page that nobody has asked for yet, if nobody waits for the slot; kept until it is taken, or for two
   * seconds.
   */
  readAhead(asked: PageAsked, by: object): PageAhead | undefined {
    if (this.#ahead >= pagesAhead || !this.#slots.isFree) return undefined
    this.#ahead++
    let page: Promise<PageFrame> | undefined = this.#read(asked, by)
    page.catch(() => undefined)
    const take = (): Promise<PageFrame> | undefined => {
      const taken = page
      page = undefined
      if (taken) this.#ahead--
      return taken
    }
    this.#clock.after(keptMs, take)
    return { asked, take }
  }

  #read({ spec, subscription, after }: PageAsked, by: object): Promise<PageFrame> {
    return this.#slots.run(async () => {
      this.#reads++
      const { pageRows: maxRows, pageBytes: maxBytes } = this.#limits
      const page = await this.#feed.page({ selection: spec.selection, after, maxRows, maxBytes })
      const frame = await toFrame(subscription, page)
      return { frame, shows: page.shows, next: page.next }
    }, by)
  }
}

/** Deflated in a thread of its own where that pays. */
async function toFrame(subscription: string, { from, blocks, next }: PageResult): Promise<Uint8Array> {
  const message = { type: 'page', subscription, from, next } as const
  const size = blocks.reduce((sum, { sections }) => sum + sections.reduce((all, { length }) => all + length, 0), 0)
  if (size < deflateFrom) return frameOf(message, blocks)
  const bytes = packBlocks(blocks)
  const deflated = bytes.length
  for (const { sections } of blocks) for (const section of sections) release(section)
  const section = await deflate(bytes, { level: deflateLevel })
  release(bytes)
  return encodeFrame({ message: { ...message, blocks: [], deflated }, sections: [section] })
}

/**
 * Gives memory back at once that nobody reads any more: of what lies outside of its heap, V8 would let some 60 MB pile
 * up before it collects. Nothing else may lie in the same buffer.
 */
function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}

const deflate = promisify(deflateRaw)

/** A page that is being read, or was. `take` gives it once. */
export interface PageAhead {
  readonly asked: PageAsked
  readonly take: () => Promise<PageFrame> | undefined
}

/**
 * The pages of one session: while one is on its way, the next is read. It is read after the session's first page, so it
 * is no older; and it serves this session alone.
 */
export class PageStream {
  readonly #pages: Pages
  #ahead: PageAhead | undefined

  constructor(pages: Pages) {
    this.#pages = pages
  }

  async get(asked: PageAsked): Promise<PageFrame> {
    const page = await (this.#taken(asked) ?? this.#pages.get(asked, this))
    if (page.next !== null) {
      this.drop()
      this.#ahead = this.#pages.readAhead({ ...asked, after: page.next }, this)
    }
    return page
  }

  /** Gives up what was read ahead. */
  drop(): void {
    void this.#ahead?.take()
    this.#ahead = undefined
  }

  #taken({ spec, subscription, after }: PageAsked): Promise<PageFrame> | undefined {
    const ahead = this.#ahead
    this.#ahead = undefined
    const page = ahead?.take()
    const isAsked =
      ahead?.asked.spec === spec && ahead.asked.subscription === subscription && ahead.asked.after === after
    return isAsked ? page : undefined
  }
}
