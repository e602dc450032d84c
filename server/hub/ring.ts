import type { Seq } from '../../protocol/seq.ts'
import type { HubLimits } from './limits.ts'
import type { StepFrames } from './step-frames.ts'

/** A step that was sent live, and which specs and vectors it was read for. */
export interface PastStep {
  readonly frames: StepFrames
  /** Generation of the channel index when reading began: channels followed since later are not in it. */
  readonly generation: number
  /** Somebody may have had access before it and not after it, or the other way round. */
  readonly changesAccess: boolean
}

export type RingLimits = Pick<HubLimits, 'ringChanges' | 'ringBytes'>

/**
 * The newest steps, gapless, for sessions that are a little behind: they get the frames that others got, without
 * another read. Bounded by the changes held, and by the bytes of their rows: frames take twice as much again.
 */
export class Ring {
  readonly #limits: RingLimits
  #steps: PastStep[] = []
  #changes = 0
  #bytes = 0

  constructor(limits: RingLimits) {
    this.#limits = limits
  }

  push(past: PastStep): void {
    this.#steps.push(past)
    this.#weigh(past, 1)
    const { ringChanges, ringBytes } = this.#limits
    while (this.#changes > ringChanges || this.#bytes > ringBytes) {
      const oldest = this.#steps.shift()
      if (!oldest) return
      this.#weigh(oldest, -1)
    }
  }

  clear(): void {
    this.#steps = []
    this.#changes = 0
    this.#bytes = 0
  }

  /** A step without changes takes room too. */
  #weigh({ frames: { step } }: PastStep, sign: 1 | -1): void {
    this.#changes += sign * (step.changes.length + 1)
    this.#bytes += sign * step.bytes
  }

  /**
   * The steps that lead from `from` to the newest, oldest first; undefined when they are not all here, or were not read
   * for channels followed since `generation` or for vectors.
   */
  after(from: Seq, generation: number, embeddings: boolean): readonly PastStep[] | undefined {
    const start = this.#steps.findIndex(({ frames: { step } }) => step.from <= from && from < step.to)
    if (start === -1) return undefined
    const rest = this.#steps.slice(start)
    const usable = rest.every((past) => past.generation >= generation && (past.frames.step.embeddings || !embeddings))
    return usable ? rest : undefined
  }
}
