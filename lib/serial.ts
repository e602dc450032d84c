/**
 * Runs tasks one after another in the order they were handed in. A task that fails fails alone: the next one runs.
 */
export class Serial {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(task: () => Promise<T>): Promise<T> {
    const next = this.#last.then(task, task)
    this.#last = next.catch(() => undefined)
    return next
  }

  /** Resolves when everything handed in so far has ended. */
  async idle(): Promise<void> {
    await this.#last
  }
}
