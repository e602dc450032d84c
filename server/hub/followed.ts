import { TideError } from '../../protocol/error.ts'
import type { Seq } from '../../protocol/seq.ts'
import type { ChannelIndex, View } from './route.ts'
import type { Spec } from './spec.ts'

/** One subscription of a session. */
export interface Followed {
  readonly id: string
  readonly spec: Spec
  /** False: its pages are still being fetched. */
  readonly active: boolean
  /** What came after this must still be read for it; null: it stands where the session stands. */
  readonly since: Seq | null
  /** Its next batch names it in `activated`. */
  readonly announced: boolean
  /**
   * The newest commit that its pages show: what completes them must not end before. Infinity: some came in an earlier
   * session.
   */
  readonly shown: number
}

/**
 * What one read of a session's own covers: taken when the read begins, since subscriptions may come and go meanwhile.
 */
export interface ReadPlan {
  readonly from: Seq
  readonly followed: readonly Followed[]
  /** Changes at or before this are known to the followers of the spec. */
  readonly floors: ReadonlyMap<Spec, Seq>
  /** Where it must end at least; Infinity: where a snapshot of its own ends. */
  readonly reach: number
  readonly embeddings: boolean
}

const nothing: readonly Followed[] = []

/**
 * The subscriptions of one session, kept in step with the channel index of the hub. Most sessions have few, so they are
 * a list.
 */
export class FollowedSet {
  readonly #index: ChannelIndex
  #all = nothing
  #view: View | undefined

  constructor(index: ChannelIndex) {
    this.#index = index
  }

  get size(): number {
    return this.#all.length
  }

  get(id: string): Followed {
    const followed = this.#find(id)
    if (!followed)
      throw new TideError(
        'not_found',
        `There is no subscription ${JSON.stringify(id)}; it was never made, or has ended.`,
      )
    return followed
  }

  knows(id: string): boolean {
    return this.#find(id) !== undefined
  }

  has(followed: Followed): boolean {
    return this.#all.includes(followed)
  }

  #find(id: string): Followed | undefined {
    return this.#all.find((followed) => followed.id === id)
  }

  [Symbol.iterator](): Iterator<Followed> {
    return this.#all[Symbol.iterator]()
  }

  /** Nothing must be read for a subscription from before where the session stands. */
  get settled(): boolean {
    return this.#all.every(({ active, since }) => !active || since === null)
  }

  /** What batches are made of; one object for all sessions that follow the same. */
  get view(): View {
    return (this.#view ??= this.#index.look(this.#active().map(({ spec }) => spec)))
  }

  #active(): readonly Followed[] {
    return this.#all.filter(({ active }) => active)
  }

  #set(followed: Followed): void {
    const known = this.#all.some(({ id }) => id === followed.id)
    this.#replace(known ? this.#all.map((one) => (one.id === followed.id ? followed : one)) : [...this.#all, followed])
  }

  #replace(all: readonly Followed[]): void {
    this.#all = all
    if (this.#view) this.#index.leave(this.#view)
    this.#view = undefined
  }

  follows(channel: string): boolean {
    return this.#all.some(({ spec }) => spec.selection.channel === channel)
  }

  /**
   * Takes a subscription in, in place of one of the same id; its pages are still to come. A repeat changes nothing:
   * what is active stays so, and pages and `activate` mean the same for it.
   */
  stage(id: string, spec: Spec): void {
    if (this.#find(id)?.spec.key === spec.key) return
    this.remove(id)
    this.#set({ id, spec, active: false, since: null, announced: false, shown: Number.POSITIVE_INFINITY })
  }

  /** A page of it was read. */
  show(id: string, after: string | null, shows: Seq): void {
    const followed = this.#find(id)
    if (!followed || followed.active) return
    const before = after === null ? 0 : followed.shown
    this.#set({ ...followed, shown: Math.max(before, shows) })
  }

  /**
   * Takes one in of which the replica holds everything up to `since`; null: up to where the session stands. A repeat
   * changes nothing: a read may be under way for the first, and must still find it.
   */
  hold(id: string, spec: Spec, since: Seq | null): void {
    const known = this.#find(id)
    if (known?.active && known.spec.key === spec.key) return
    this.remove(id)
    this.#set({ id, spec: this.#index.add(spec), active: true, since, announced: false, shown: 0 })
  }

  /** All pages are there, the first of them read at `from`. */
  activate(id: string, from: Seq): void {
    const { active, spec, shown } = this.get(id)
    this.#set({ id, spec: active ? spec : this.#index.add(spec), active: true, since: from, announced: true, shown })
  }

  remove(id: string): void {
    const followed = this.#find(id)
    if (!followed) return
    this.#replace(this.#all.filter((one) => one !== followed))
    if (followed.active) this.#index.remove(followed.spec)
  }

  clear(): void {
    const all = this.#all
    this.#replace(nothing)
    for (const { active, spec } of all) if (active) this.#index.remove(spec)
  }

  /** What must be read for a session that stands at `seq`. */
  plan(seq: Seq): ReadPlan {
    const followed = this.#active()
    const { embeddings } = this.view
    const floors = new Map<Spec, Seq>()
    for (const { spec, since } of followed) floors.set(spec, least(since ?? seq, floors.get(spec)))
    const reach = Math.max(0, ...followed.map(({ shown }) => shown))
    return { from: [...floors.values()].reduce(least, seq), followed, floors, reach, embeddings }
  }

  /** The plan was carried out. Those that were changed meanwhile wait for the next. */
  reached({ followed }: ReadPlan): void {
    for (const one of followed)
      if (this.has(one) && (one.since !== null || one.announced))
        this.#set({ ...one, since: null, announced: false, shown: 0 })
  }
}

function least(a: Seq, b: Seq | undefined): Seq {
  return b !== undefined && b < a ? b : a
}
