/**
 * The first `limit` of many values in the order of `compare`, without sorting all of them: a heap that never holds more
 * than `limit`, its worst on top.
 */
export class Top<T> {
  readonly #heap: T[] = []
  readonly #limit: number
  readonly #compare: (a: T, b: T) => number

  constructor(limit: number, compare: (a: T, b: T) => number) {
    this.#limit = limit
    this.#compare = compare
  }

  /** The value that the next one must come before, once there are `limit` of them. */
  get worst(): T | undefined {
    return this.#heap.length < this.#limit ? undefined : this.#heap[0]
  }

  add(value: T): void {
    const heap = this.#heap
    if (heap.length < this.#limit) {
      heap.push(value)
      this.#rise(heap.length - 1, value)
      return
    }
    const worst = heap[0]
    if (worst !== undefined && this.#compare(value, worst) < 0) this.#sink(value)
  }

  /** All kept values, first one first. */
  toSorted(): T[] {
    return this.#heap.toSorted(this.#compare)
  }

  #rise(start: number, value: T): void {
    const heap = this.#heap
    let index = start
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || this.#compare(value, parent) <= 0) break
      heap[index] = parent
      index = above
    }
    heap[index] = value
  }

  #sink(value: T): void {
    const heap = this.#heap
    let index = 0
    for (;;) {
      let below = 2 * index + 1
      let child = heap[below]
      if (child === undefined) break
      const right = heap[below + 1]
      if (right !== undefined && this.#compare(right, child) > 0) {
        child = right
        below += 1
      }
      if (this.#compare(value, child) >= 0) break
      heap[index] = child
      index = below
    }
    heap[index] = value
  }
}
