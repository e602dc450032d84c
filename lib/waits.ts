/** Calls back when something may have changed; returns the function that stops it. */
export type Follow = (look: () => void) => () => void

/** Promises that wait for a state, and are all told when nobody will come to change it any more. */
export class Waits {
  readonly #ends = new Set<() => void>()
  #ended: { readonly error: Error } | null = null

  /** Why nothing can be waited for any more; null while it can. */
  get ended(): Error | null {
    return this.#ended?.error ?? null
  }

  /**
   * Resolves when `isThere` answers true; it is asked now and each time `follow` calls. Rejects with what `isThere`
   * throws, with the reason of `signal`, or with the error of `end`.
   */
  async until(follow: Follow, isThere: () => boolean, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = (): void => {
      try {
        if (isThere()) resolve()
        else if (this.#ended !== null) reject(this.#ended.error)
      } catch (error) {
        reject(error)
      }
    }
    const abort = (): void => reject(signal?.reason)
    const stop = follow(look)
    this.#ends.add(look)
    signal?.addEventListener('abort', abort)
    look()
    try {
      await promise
    } finally {
      stop()
      this.#ends.delete(look)
      signal?.removeEventListener('abort', abort)
    }
  }

  /** From now on whatever is not there yet never will be. The first error stays. */
  end(error: Error): void {
    this.#ended ??= { error }
    for (const look of [...this.#ends]) look()
  }
}
