interface Waiting<Q, A> {
  readonly question: Q
  readonly resolve: (answer: A) => void
  readonly reject: (error: unknown) => void
}

/**
 * Many questions in one read. What is asked while a read is under way waits for the next one, so that every answer is
 * of a moment after its question; an idle batcher reads at once. When a read of several fails, each is read alone: one
 * bad question must not spoil the others.
 */
export class Batcher<Q, A> {
  readonly #read: (questions: readonly Q[]) => Promise<readonly A[]>
  readonly #most: number
  #waiting: Waiting<Q, A>[] = []
  #running = false

  /** `read` answers in the order of the questions; it gets at most `most`. */
  constructor(read: (questions: readonly Q[]) => Promise<readonly A[]>, most = 200) {
    this.#read = read
    this.#most = most
  }

  ask(question: Q): Promise<A> {
    const { promise, resolve, reject } = Promise.withResolvers<A>()
    this.#waiting.push({ question, resolve, reject })
    if (!this.#running) void this.#run()
    return promise
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiting.length > 0) {
      const some = this.#waiting.splice(0, this.#most)
      if (!(await this.#answer(some, some.length === 1)) && some.length > 1)
        for (const one of some) await this.#answer([one], true)
    }
    this.#running = false
  }

  /** False: the read failed, and nobody was told unless `tell`. */
  async #answer(some: readonly Waiting<Q, A>[], tell: boolean): Promise<boolean> {
    try {
      const answers = await this.#read(some.map(({ question }) => question))
      if (answers.length !== some.length) throw new Error(`${some.length} questions got ${answers.length} answers.`)
      answers.forEach((answer, index) => some[index]?.resolve(answer))
      return true
    } catch (error) {
      if (tell) for (const { reject } of some) reject(error)
      return false
    }
  }
}
