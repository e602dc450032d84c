import { frameOf } from '../../protocol/block-frame.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import { composeParts, type Part, type PartLimits } from './compose.ts'
import type { Mark, Step } from './feed.ts'
import { hitsOf, type Hit } from './route.ts'
import type { DownTables, Spec } from './spec.ts'

/** What a batch carries besides rows; differs by session. */
export type Extras = Pick<DownOf<'batch'>, 'leaves' | 'settled' | 'activated' | 'resets'>

export interface Batch {
  readonly frames: readonly Uint8Array[]
  readonly bytes: number
  /** The frames were made before, for another session. */
  readonly shared: boolean
}

/** Which specs a step was routed for, and what it means to them. */
export interface Routing {
  readonly hits: ReadonlyMap<Spec, readonly Hit[]>
  /** False: the spec came later, so that its hits are not in `hits`. */
  routed(spec: Spec): boolean
}

interface Combination {
  readonly hit: readonly Spec[]
  readonly key: string
}

/**
 * The frames of one step. Each combination of specs is composed and packed once, however many sessions have it, and
 * those without extras get the very same bytes (SPEC I7).
 */
export class StepFrames {
  readonly step: Step
  readonly #routing: Routing
  readonly #tables: DownTables
  readonly #limits: PartLimits
  readonly #late = new Map<Spec, readonly Hit[]>()
  readonly #numbers = new Map<Spec, number>()
  readonly #parts = new Map<string, readonly Part[]>()
  readonly #combinations = new WeakMap<readonly Spec[], Combination>()
  readonly #shared = new Map<string, Batch>()
  readonly #settled: ReadonlyMap<string, readonly Mark[]>

  constructor(step: Step, routing: Routing, tables: DownTables, limits: PartLimits) {
    this.step = step
    this.#routing = routing
    this.#tables = tables
    this.#limits = limits
    this.#settled = Map.groupBy(step.marks, (mark) => mark.deviceId)
  }

  /** Ids of the device's mutations that are committed with this step. */
  settledOf(deviceId: string): string[] {
    return this.#settled.get(deviceId)?.map((mark) => mark.mutationId) ?? []
  }

  /** The batch for a follower of these specs; undefined when there is nothing to say, unless `always`. */
  batch(specs: readonly Spec[], extras: Extras, always: boolean): Batch | undefined {
    const { hit, key } = this.#combine(specs)
    const plain = isPlain(extras)
    if (hit.length === 0 && plain && !always) return undefined
    const shared = isShared(extras) ? (plain ? key : `${key} ${JSON.stringify(extras)}`) : undefined
    const known = shared === undefined ? undefined : this.#shared.get(shared)
    if (known) return known
    const batch = this.#encode(this.#compose(key, hit), extras)
    if (shared !== undefined) this.#shared.set(shared, { ...batch, shared: true })
    return batch
  }

  /**
   * Those of the specs that have hits, and a name for just these. Sessions that follow the same hand in the same list.
   */
  #combine(specs: readonly Spec[]): Combination {
    const known = this.#combinations.get(specs)
    if (known) return known
    const hit = [...new Set(specs)].filter((spec) => this.#hits(spec).length > 0)
    const key = hit
      .map((spec) => this.#number(spec))
      .toSorted((a, b) => a - b)
      .join()
    const combination = { hit, key }
    this.#combinations.set(specs, combination)
    return combination
  }

  #hits(spec: Spec): readonly Hit[] {
    if (this.#routing.routed(spec)) return this.#routing.hits.get(spec) ?? []
    const known = this.#late.get(spec) ?? hitsOf(spec, this.step.changes)
    this.#late.set(spec, known)
    return known
  }

  #number(spec: Spec): number {
    const known = this.#numbers.get(spec) ?? this.#numbers.size
    this.#numbers.set(spec, known)
    return known
  }

  #compose(key: string, specs: readonly Spec[]): readonly Part[] {
    const known = this.#parts.get(key)
    if (known) return known
    const voices = specs.map((spec) => ({ hits: this.#hits(spec), embeddings: spec.selection.embeddings }))
    const parts = composeParts(voices, this.#tables, this.#limits)
    this.#parts.set(key, parts)
    return parts
  }

  /** Extras travel in the last part, with which the client applies all. */
  #encode(parts: readonly Part[], extras: Extras): Batch {
    const { to, at } = this.step
    const frames = parts.map(({ blocks, deletes }, index) => {
      const more = index < parts.length - 1
      return frameOf({ type: 'batch', to, at, more, deletes: [...deletes], ...(more ? noExtras() : extras) }, blocks)
    })
    return { frames, bytes: frames.reduce((total, frame) => total + frame.byteLength, 0), shared: false }
  }
}

export function noExtras(): Extras {
  return { leaves: [], settled: [], activated: [], resets: [] }
}

/** Nothing in them is of one session alone. */
function isShared({ leaves, settled }: Extras): boolean {
  return leaves.length + settled.length === 0
}

function isPlain({ leaves, settled, activated, resets }: Extras): boolean {
  return leaves.length + settled.length + activated.length + resets.length === 0
}
