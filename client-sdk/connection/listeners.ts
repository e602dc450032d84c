/** Those who want to know, told one after the other. */
export class Listeners<T> {
  readonly #listeners = new Set<(value: T) => void>()

  /** Returns the function that ends it. */
  add(listener: (value: T) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  tell(value: T): void {
    for (const listener of [...this.#listeners]) listener(value)
  }
}
