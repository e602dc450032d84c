// A client reduced to what the protocol promises it: rows by key, subscriptions, a cursor. After each batch it compares
// itself with what the feed's history says that it must hold at that position.
import assert from 'node:assert/strict'
import { blocksOf } from '../../protocol/block-frame.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { parseDown } from '../../protocol/parse.ts'
import { packedToRows } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { RangeSums, compareRanges } from '../../protocol/rows/verify.ts'
import { toSeq, type Cursor } from '../../protocol/seq.ts'
import type { Hub, HubSession } from '../../server/hub/hub.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { keyOf, type MemoryFeed } from './memory-feed.ts'

interface Followed {
  readonly subscription: Subscription
  readonly state: 'staging' | 'held'
  readonly staged: ReadonlyMap<string, Row>
  /** Position of the first page; null before it came. */
  readonly from: number | null
  /** What to ask for next; undefined: nothing, an answer is awaited or all was asked. */
  readonly next: string | null | undefined
}

interface Saved {
  readonly cursor: Cursor | null
  readonly rows: ReadonlyMap<string, Row>
  readonly held: readonly Subscription[]
}

/** All of a row but its vectors, which only some ask for. */
function contentsOf(row: Row): string {
  const values = Object.entries(row).filter(([, value]) => !(value instanceof Float32Array) && value !== null)
  return JSON.stringify(values.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

export class ModelClient {
  readonly principal: DevicePrincipal
  readonly #hub: Hub
  readonly #feed: MemoryFeed
  readonly #verified: string[] = []
  session: HubSession | null = null
  ended: string | null = null
  rows = new Map<string, Row>()
  followed = new Map<string, Followed>()
  cursor: Cursor | null = null
  settled = new Set<string>()
  frontiers = 0
  pages = 0
  /** How often it was told to look at its token. */
  credentialsAsked = 0
  /** What looking at it takes. */
  tokenLook: Promise<void> = Promise.resolve()
  readonly failures: unknown[] = []
  #saved: Saved[] = [{ cursor: null, rows: new Map(), held: [] }]
  #parts: { readonly message: DownOf<'batch'>; readonly blocks: readonly PackedBlock[] }[] = []
  #connection = 0
  #narrowed = false

  constructor(hub: Hub, feed: MemoryFeed, principal: DevicePrincipal) {
    this.#hub = hub
    this.#feed = feed
    this.principal = principal
  }

  /** Connects with a state it once had: `back` batches ago. */
  async connect(back: number): Promise<void> {
    this.disconnect()
    const connection = ++this.#connection
    const saved = this.#saved.at(-1 - (back % this.#saved.length)) ?? {
      cursor: null,
      rows: new Map(),
      held: [],
    }
    this.rows = new Map(saved.rows)
    this.cursor = saved.cursor
    this.followed = new Map()
    this.#parts = []
    this.ended = null
    this.#narrowed = false
    let session: HubSession
    try {
      session = await this.#hub.open({
        principal: this.principal,
        cursor: saved.cursor,
        credentialsChanged: () => this.#lookAtToken(),
        send: (frame) => {
          if (connection !== this.#connection) return
          // Whatever is thrown in here would only be heard by the hub.
          try {
            this.#receive(frame)
          } catch (error) {
            this.failures.push(error)
          }
        },
        ended: (error) => {
          if (connection !== this.#connection) return
          this.ended = error.code
          this.session = null
        },
      })
    } catch {
      this.ended = 'refused'
      return
    }
    if (connection !== this.#connection) {
      session.close()
      return
    }
    this.session = session
    if (!session.resume) this.#startOver()
    const held = session.resume
    for (const subscription of saved.held) this.#follow(subscription, held ? 'held' : 'staging')
    await session.subscribe(saved.held.map((subscription) => ({ ...subscription, held })))
  }

  async #lookAtToken(): Promise<void> {
    this.credentialsAsked++
    await this.tokenLook
  }

  disconnect(): void {
    this.#connection++
    this.session?.close()
    this.session = null
  }

  subscribe(subscription: Subscription): void {
    if (!this.session || this.followed.has(subscription.id)) return
    this.#follow(subscription, 'staging')
    void this.session.subscribe([{ ...subscription, held: false }])
  }

  unsubscribe(id: string): void {
    if (!this.session || !this.followed.delete(id)) return
    this.session.unsubscribe(id)
    this.#narrowed = true
    this.#purge()
  }

  /** Asks for the next page, or activates when all are here. */
  async advanceStaging(): Promise<boolean> {
    const { session } = this
    if (!session) return false
    for (const [id, one] of this.followed) {
      if (one.state !== 'staging' || one.next === undefined) continue
      this.followed.set(id, { ...one, next: undefined })
      if (one.next === null && one.from !== null) session.activate(id, one.from)
      else await session.page(id, one.next).catch(() => undefined)
      return true
    }
    return false
  }

  ack(): void {
    if (this.cursor) this.session?.ack(this.cursor.seq)
  }

  verify(): void {
    const [held] = [...this.followed.values()].filter(({ state }) => state === 'held')
    if (!held || !this.session) return
    this.#verified.push(held.subscription.id)
    void this.session.verify(held.subscription.id, this.#verified.length - 1).catch(() => undefined)
  }

  /** What it must hold, from scratch. */
  expected(): Map<string, string> {
    const commit = this.#feed.at(this.cursor?.seq ?? 0)
    const expected = new Map<string, string>()
    for (const { subscription, state } of this.followed.values()) {
      if (state !== 'held') continue
      for (const [key, row] of this.#feed.select(this.#selection(subscription), commit))
        expected.set(key, contentsOf(row))
    }
    return expected
  }

  actual(): Map<string, string> {
    return new Map([...this.rows].map(([key, row]) => [key, contentsOf(row)]))
  }

  #selection(subscription: Subscription) {
    const tables = subscription.tables ?? [...this.#feed.tables.keys()]
    return {
      organizationId: this.principal.organizationId,
      channel: subscription.channel,
      tables,
      where: subscription.where ?? {},
      embeddings: false,
    }
  }

  #follow(subscription: Subscription, state: Followed['state']): void {
    this.followed.set(subscription.id, {
      subscription,
      state,
      staged: new Map(),
      from: null,
      next: state === 'held' ? undefined : null,
    })
  }

  #startOver(): void {
    this.rows = new Map()
    this.cursor = null
  }

  #receive(frame: Uint8Array): void {
    const { message, sections } = parseDown(frame)
    switch (message.type) {
      case 'subscribed':
        if (message.error) {
          this.followed.delete(message.id)
          this.#purge()
        }
        return
      case 'page':
        this.pages++
        return this.#stage(message, blocksOf(message.blocks, sections))
      case 'batch':
        this.#parts.push({ message, blocks: blocksOf(message.blocks, sections) })
        if (!message.more) this.#apply()
        return
      case 'frontier':
        this.frontiers++
        return
      case 'verified':
        return this.#compare(message)
      case 'error':
        assert.deepEqual([message.fatal, message.error.code], [false, 'not_found'])
        return
      default:
        throw new Error(`unexpected ${message.type}`)
    }
  }

  #stage({ subscription: id, from, next }: DownOf<'page'>, blocks: readonly PackedBlock[]): void {
    const one = this.followed.get(id)
    if (!one || one.state !== 'staging') return
    const staged = new Map(one.staged)
    for (const [key, row] of this.#unpack(blocks)) staged.set(key, row)
    // `null` now means: all pages are here.
    this.followed.set(id, { ...one, staged, from: one.from ?? from, next })
  }

  #apply(): void {
    const parts = this.#parts
    this.#parts = []
    const { to } = parts[0]?.message ?? { to: 0 }
    assert.ok(to >= (this.cursor?.seq ?? 0), 'batches never go back')
    this.cursor = { epoch: this.#feed.epoch, seq: toSeq(to) }
    const messages = parts.map(({ message }) => message)
    for (const id of messages.flatMap(({ activated }) => activated)) {
      const one = this.followed.get(id)
      if (!one) continue
      for (const [key, row] of one.staged) this.rows.set(key, row)
      this.followed.set(id, { ...one, state: 'held', staged: new Map() })
    }
    const leaves = messages.flatMap((message) => message.leaves)
    for (const { channel } of leaves)
      for (const [id, { subscription }] of this.followed) if (subscription.channel === channel) this.followed.delete(id)
    for (const { deletes } of messages)
      for (const { table, ids } of deletes) for (const id of ids) this.rows.delete(keyOf(table, id))
    for (const { blocks } of parts) for (const [key, row] of this.#unpack(blocks)) this.rows.set(key, row)
    for (const id of messages.flatMap((message) => message.settled)) this.settled.add(id)
    // Rows of what it no longer follows may have been under way.
    if (leaves.length > 0 || this.#narrowed) this.#purge()
    const access = this.#feed.at(to).access.get(this.principal.id)
    for (const { subscription, state } of this.followed.values())
      if (state === 'held') assert.ok(access?.has(subscription.channel), `access at ${to}`)
    assert.deepEqual(this.actual(), this.expected(), `state at ${to}`)
    const held = [...this.followed.values()]
      .filter(({ state }) => state === 'held')
      .map(({ subscription }) => subscription)
    this.#saved.push({ cursor: this.cursor, rows: new Map(this.rows), held })
  }

  #unpack(blocks: readonly PackedBlock[]): (readonly [string, Row])[] {
    return blocks.flatMap((block) => {
      const table = this.#feed.tables.get(block.block.table)
      return table ? packedToRows(table, block).map((row) => [keyOf(table.name, row['id']), row] as const) : []
    })
  }

  /** What no remaining subscription carries goes; which that is, is the replica's business and not tested here. */
  #purge(): void {
    const kept = this.expected()
    for (const key of this.rows.keys()) if (!kept.has(key)) this.rows.delete(key)
  }

  #compare({ ref, to, tables }: DownOf<'verified'>): void {
    assert.equal(to, this.cursor?.seq, 'verified at the cursor')
    const one = this.followed.get(this.#verified[ref] ?? '')
    if (!one) return
    const mine = this.#feed.select(this.#selection(one.subscription), this.#feed.at(to))
    for (const { table, ranges } of tables) {
      const sums = new RangeSums()
      for (const key of mine.keys()) {
        const row = this.rows.get(key)
        if (row && key.startsWith(`${table}/`)) sums.add(String(row['id']), Number(row['version']))
      }
      assert.deepEqual(compareRanges(ranges, sums.toRanges()), [], `verify ${table}`)
    }
  }
}
