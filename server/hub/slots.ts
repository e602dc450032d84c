/** Lets a bounded number of tasks run at a time; further ones wait in order. */
export class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  /** Whether a task would begin at once. */
  get isFree(): boolean {
    return this.#free > 0
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await task()
    } finally {
      // A slot that is free goes to the next in line, without being counted as free in between.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}
