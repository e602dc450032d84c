/** Lets a bounded number of tasks run at a time. Further ones wait: those of one owner in order, the owners in turn. */
export class Slots {
  #free: number
  /** By owner. The owner whose turn is next comes first. */
  readonly #waiting = new Map<unknown, (() => void)[]>()

  constructor(count: number) {
    this.#free = count
  }

  /** Whether a task would begin at once. */
  get isFree(): boolean {
    return this.#free > 0
  }

  /** Tasks without an owner are of one and the same. */
  async run<T>(task: () => Promise<T>, owner?: object): Promise<T> {
    if (this.#free > 0) this.#free--
    else await this.#turn(owner)
    try {
      return await task()
    } finally {
      // A slot that is free goes to the next in line, without being counted as free in between.
      const next = this.#next()
      if (next) next()
      else this.#free++
    }
  }

  async #turn(owner: object | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      const own = this.#waiting.get(owner)
      if (own) own.push(resolve)
      else this.#waiting.set(owner, [resolve])
    })
  }

  #next(): (() => void) | undefined {
    for (const [owner, own] of this.#waiting) {
      const next = own.shift()
      // To the end of the line, or out of it.
      this.#waiting.delete(owner)
      if (own.length > 0) this.#waiting.set(owner, own)
      return next
    }
    return undefined
  }
}
