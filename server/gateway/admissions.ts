import { TideError } from '../../protocol/error.ts'

/** How many connections there are of each of something: a principal, a place. */
export class Admissions {
  readonly #counts = new Map<string, number>()
  readonly #what: string
  readonly #most: number

  /** `what`: names one of them in messages. */
  constructor(what: string, most: number) {
    this.#what = what
    this.#most = most
  }

  /**
   * Counts one more, until what is returned is called, once. Throws `too_many_connections`. `beyond`: this one takes
   * the place of another.
   */
  enter(key: string, beyond = 0): () => void {
    const count = this.#counts.get(key) ?? 0
    if (count >= this.#most + beyond)
      throw new TideError('too_many_connections', `This ${this.#what} has ${count} connections already.`, {
        retryAfterMs: 10_000,
      })
    this.#counts.set(key, count + 1)
    return () => {
      const left = (this.#counts.get(key) ?? 1) - 1
      if (left === 0) this.#counts.delete(key)
      else this.#counts.set(key, left)
    }
  }
}
