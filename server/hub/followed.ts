import { TideError } from '../../protocol/error.ts'
import type { Seq } from '../../protocol/seq.ts'
import type { ChannelIndex } from './route.ts'
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
}

/** What one read of a session's own covers: taken when the read begins, since subscriptions may come and go meanwhile. */
export interface ReadPlan {
  readonly from: Seq
  readonly followed: readonly Followed[]
  /** Changes at or before this are known to the followers of the spec. */
  readonly floors: ReadonlyMap<Spec, Seq>
  readonly embeddings: boolean
}

export interface View {
  readonly active: readonly Followed[]
  readonly specs: readonly Spec[]
  readonly channels: ReadonlySet<string>
  readonly embeddings: boolean
  /** Steps whose reading began at an earlier generation of the index do not hold all of these channels. */
  readonly generation: number
}

/** The subscriptions of one session, kept in step with the channel index of the node. */
export class FollowedSet {
  readonly #index: ChannelIndex
  readonly #byId = new Map<string, Followed>()
  #view: View | undefined

  constructor(index: ChannelIndex) {
    this.#index = index
  }

  get size(): number {
    return this.#byId.size
  }

  get(id: string): Followed {
    const followed = this.#byId.get(id)
    if (!followed)
      throw new TideError(
        'not_found',
        `There is no subscription ${JSON.stringify(id)}; it was never made, or has ended.`,
      )
    return followed
  }

  knows(id: string): boolean {
    return this.#byId.has(id)
  }

  has(followed: Followed): boolean {
    return this.#byId.get(followed.id) === followed
  }

  *[Symbol.iterator](): Iterator<Followed> {
    yield* this.#byId.values()
  }

  /** What batches are made of; the same object until something changes. */
  get view(): View {
    return (this.#view ??= this.#look())
  }

  #look(): View {
    const active = [...this.#byId.values()].filter((followed) => followed.active)
    return {
      active,
      specs: active.map(({ spec }) => spec),
      channels: new Set(active.map(({ spec }) => spec.selection.channel)),
      embeddings: active.some(({ spec }) => spec.selection.embeddings),
      generation: active.reduce(
        (latest, { spec }) => Math.max(latest, this.#index.followedSince(spec.selection.channel)),
        0,
      ),
    }
  }

  #set(followed: Followed): void {
    this.#byId.set(followed.id, followed)
    this.#view = undefined
  }

  follows(channel: string): boolean {
    return [...this.#byId.values()].some(({ spec }) => spec.selection.channel === channel)
  }

  /**
   * Takes a subscription in, in place of one of the same id; its pages are still to come. A repeat changes nothing: what
   * is active stays so, and pages and `activate` mean the same for it.
   */
  stage(id: string, spec: Spec): void {
    if (this.#byId.get(id)?.spec.key === spec.key) return
    this.remove(id)
    this.#set({ id, spec, active: false, since: null, announced: false })
  }

  /**
   * Takes one in of which the replica holds everything up to `since`; null: up to where the session stands. A repeat
   * changes nothing: a read may be under way for the first, and must still find it.
   */
  hold(id: string, spec: Spec, since: Seq | null): void {
    const known = this.#byId.get(id)
    if (known?.active && known.spec.key === spec.key) return
    this.remove(id)
    this.#set({ id, spec: this.#index.add(spec), active: true, since, announced: false })
  }

  /** All pages are there, the first of them read at `from`. */
  activate(id: string, from: Seq): void {
    const { active, spec } = this.get(id)
    this.#set({ id, spec: active ? spec : this.#index.add(spec), active: true, since: from, announced: true })
  }

  remove(id: string): void {
    const followed = this.#byId.get(id)
    if (followed?.active) this.#index.remove(followed.spec)
    this.#byId.delete(id)
    this.#view = undefined
  }

  clear(): void {
    for (const id of this.#byId.keys()) this.remove(id)
  }

  /** What must be read for a session that stands at `seq`. */
  plan(seq: Seq): ReadPlan {
    const { active: followed, embeddings } = this.view
    const floors = new Map<Spec, Seq>()
    for (const { spec, since } of followed) floors.set(spec, least(since ?? seq, floors.get(spec)))
    return { from: [...floors.values()].reduce(least, seq), followed, floors, embeddings }
  }

  /** The plan was carried out. Those that were changed meanwhile wait for the next. */
  reached({ followed }: ReadPlan): void {
    for (const one of followed)
      if (this.has(one) && (one.since !== null || one.announced)) this.#set({ ...one, since: null, announced: false })
  }
}

function least(a: Seq, b: Seq | undefined): Seq {
  return b !== undefined && b < a ? b : a
}
