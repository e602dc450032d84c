import { toObject } from '../db/row-bytes.ts'
import { EqualityIndex } from './equality-index.ts'
import type { Change } from './feed.ts'
import type { Spec } from './spec.ts'

/** What a change means for one spec. `delete` is also right for a client that does not hold the row. */
export interface Hit {
  readonly change: Change
  readonly verdict: 'upsert' | 'delete'
}

/**
 * Decides what a follower of `spec` must be told (SPEC I3 to I6). Undefined: nothing.
 */
export function verdictOf(change: Change, spec: Spec): Hit['verdict'] | undefined {
  const { organizationId, channel } = spec.selection
  if (change.organizationId !== null && change.organizationId !== organizationId) return undefined
  if (!spec.tables.has(change.table)) return undefined
  if (change.everywhere) return 'delete'
  if (change.row !== null && change.homes.includes(channel)) {
    const matches = spec.matchers.get(change.table)
    if (!matches || matches(toObject(change.row))) return 'upsert'
    return change.fresh ? undefined : 'delete'
  }
  return change.homes.includes(channel) || change.formerHomes.includes(channel) ? 'delete' : undefined
}

/** What some sessions follow, as far as batches are concerned: one object for all that follow the same. */
export interface View {
  readonly specs: readonly Spec[]
  readonly channels: ReadonlySet<string>
  readonly embeddings: boolean
  /** Steps whose reading began at an earlier generation of the index do not hold all of these channels. */
  readonly generation: number
}

interface Entry {
  readonly spec: Spec
  /** Generation at which it came in. */
  readonly since: number
  users: number
}

interface Channel {
  readonly since: number
  readonly entries: Map<string, Entry>
  readonly byValue: EqualityIndex<Entry>
}

/**
 * Which specs follow which channel, so that a change costs what its followers cost. A spec may have many users; equal
 * ones are one.
 */
export class ChannelIndex {
  readonly #channels = new Map<string, Channel>()
  /** By the generations of their entries, which are as good as names. */
  readonly #views = new Map<string, { readonly view: View; users: number }>()
  readonly #names = new WeakMap<View, string>()
  #generation = 0

  /** Grows whenever a spec comes in. */
  get generation(): number {
    return this.#generation
  }

  follows(channel: string): boolean {
    return this.#channels.has(channel)
  }

  /** The generation since which the channel has been followed without a break. Infinity: nobody follows it. */
  followedSince(channel: string): number {
    return this.#channels.get(channel)?.since ?? Number.POSITIVE_INFINITY
  }

  /** Whether the spec has been in here since before that generation ended. */
  has(spec: Spec, generation: number): boolean {
    const entry = this.#channels.get(spec.selection.channel)?.entries.get(spec.key)
    return entry !== undefined && entry.since <= generation
  }

  /** Returns the spec that stands for all equal ones. */
  add(spec: Spec): Spec {
    const { channel } = spec.selection
    const followed = this.#channels.get(channel)
    const known = followed?.entries.get(spec.key)
    if (known) {
      known.users++
      return known.spec
    }
    const since = ++this.#generation
    const entry = { spec, since, users: 1 }
    const place = followed ?? { since, entries: new Map<string, Entry>(), byValue: new EqualityIndex<Entry>() }
    place.entries.set(spec.key, entry)
    place.byValue.add(entry)
    if (!followed) this.#channels.set(channel, place)
    return spec
  }

  remove(spec: Spec): void {
    const { channel } = spec.selection
    const followed = this.#channels.get(channel)
    const entry = followed?.entries.get(spec.key)
    if (!followed || !entry) return
    entry.users--
    if (entry.users === 0) {
      followed.entries.delete(spec.key)
      followed.byValue.delete(entry)
    }
    if (followed.entries.size === 0) this.#channels.delete(channel)
  }

  /** The view of who follows these specs, which are all in here. `leave` gives it back. */
  look(specs: readonly Spec[]): View {
    const entries = specs.flatMap(({ selection, key }) => this.#channels.get(selection.channel)?.entries.get(key) ?? [])
    const name = [...new Set(entries.map(({ since }) => since))].toSorted((a, b) => a - b).join()
    const known = this.#views.get(name)
    if (known) {
      known.users++
      return known.view
    }
    const view: View = {
      specs: [...new Set(specs)],
      channels: new Set(specs.map(({ selection }) => selection.channel)),
      embeddings: specs.some(({ selection }) => selection.embeddings),
      generation: Math.max(0, ...specs.map(({ selection }) => this.followedSince(selection.channel))),
    }
    this.#views.set(name, { view, users: 1 })
    this.#names.set(view, name)
    return view
  }

  leave(view: View): void {
    const name = this.#names.get(view) ?? ''
    const known = this.#views.get(name)
    if (known?.view !== view) return
    known.users--
    if (known.users === 0) this.#views.delete(name)
  }

  /** All hits of all specs, each spec's in the order of the changes. */
  route(changes: readonly Change[]): Map<Spec, readonly Hit[]> {
    const hits = new Map<Spec, Hit[]>()
    for (const change of changes) for (const { spec } of this.#concerned(change)) addHit(hits, change, spec)
    return hits
  }

  *#concerned(change: Change): Iterable<Entry> {
    if (change.everywhere) {
      for (const { entries } of this.#channels.values()) yield* entries.values()
      return
    }
    for (const channel of change.homes)
      yield* change.fresh ? (this.#channels.get(channel)?.byValue.candidates(change) ?? []) : this.#entries(channel)
    for (const channel of change.formerHomes) yield* this.#entries(channel)
  }

  #entries(channel: string): Iterable<Entry> {
    return this.#channels.get(channel)?.entries.values() ?? []
  }
}

function addHit(hits: Map<Spec, Hit[]>, change: Change, spec: Spec): void {
  const verdict = verdictOf(change, spec)
  if (verdict === undefined) return
  const list = hits.get(spec)
  if (list) list.push({ change, verdict })
  else hits.set(spec, [{ change, verdict }])
}

/** The hits of one spec among all changes, for specs that came when the step was already routed. */
export function hitsOf(spec: Spec, changes: readonly Change[]): readonly Hit[] {
  return changes.flatMap((change): Hit[] => {
    const verdict = verdictOf(change, spec)
    return verdict === undefined ? [] : [{ change, verdict }]
  })
}
