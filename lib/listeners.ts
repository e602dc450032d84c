/**
 * Those who want to know, told one after the other. What one of them throws is its own affair: it surfaces as an
 * uncaught error and disturbs neither the others nor the one who tells.
 */
export class Listeners<T> {
  readonly #listeners = new Set<(value: T) => void>()

  get isEmpty(): boolean {
    return this.#listeners.size === 0
  }

  /** Returns the function that ends it. */
  add(listener: (value: T) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  tell(value: T): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(value)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  clear(): void {
    this.#listeners.clear()
  }
}
