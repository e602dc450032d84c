import type { Seq } from '../../protocol/seq.ts'
import type { StepFrames } from './step-frames.ts'

/** A step that was sent live, and which specs and vectors it was read for. */
export interface PastStep {
  readonly frames: StepFrames
  /** Generation of the channel index when reading began: channels followed since later are not in it. */
  readonly generation: number
  /** Somebody may have had access before it and not after it, or the other way round. */
  readonly changesAccess: boolean
}

/**
 * The newest steps, gapless, for sessions that are a little behind: they get the frames that others got, without
 * another read. Bounded by the number of changes held.
 */
export class Ring {
  readonly #maxChanges: number
  #steps: PastStep[] = []
  #changes = 0

  constructor(maxChanges: number) {
    this.#maxChanges = maxChanges
  }

  push(past: PastStep): void {
    this.#steps.push(past)
    this.#changes += weight(past)
    while (this.#changes > this.#maxChanges && this.#steps.length > 0) {
      const oldest = this.#steps.shift()
      if (oldest) this.#changes -= weight(oldest)
    }
  }

  clear(): void {
    this.#steps = []
    this.#changes = 0
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

/** A step without changes takes room too. */
function weight({ frames }: PastStep): number {
  return frames.step.changes.length + 1
}
