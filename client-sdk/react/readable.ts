/** What `useSyncExternalStore` reads: `get` answers the same object for as long as nothing has changed. */
export interface Readable<T> {
  /** Calls back when `get` answers something else. Returns the function that stops it. */
  readonly subscribe: (listener: () => void) => () => void
  readonly get: () => T
}

/** Never changes: what is shown while there is no client. */
export function constant<T>(value: T): Readable<T> {
  return { subscribe: () => () => undefined, get: () => value }
}

/**
 * A value told to those who listen; what runs while somebody listens is `start`ed, and stopped with the last of them.
 */
export class Observed<T> implements Readable<T> {
  readonly #listeners = new Set<() => void>()
  readonly #start: (set: (value: T) => void) => () => void
  #value: T
  #stop: (() => void) | null = null

  constructor(value: T, start: (set: (value: T) => void) => () => void) {
    this.#value = value
    this.#start = start
  }

  readonly get = (): T => this.#value

  readonly subscribe = (listener: () => void): (() => void) => {
    // Each call counts, whether or not somebody else gave the same function.
    const own = (): void => listener()
    this.#listeners.add(own)
    if (this.#listeners.size === 1) this.#stop = this.#start((value) => this.#set(value))
    return () => {
      if (!this.#listeners.delete(own) || this.#listeners.size > 0) return
      this.#stop?.()
      this.#stop = null
    }
  }

  #set(value: T): void {
    if (Object.is(value, this.#value)) return
    this.#value = value
    for (const listener of [...this.#listeners]) listener()
  }
}
