import type { CancelTimer, Clock } from '../../lib/clock.ts'

interface Event {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

/**
 * Time that only moves when there is something to do. Events of the same millisecond run in the order they were asked
 * for, so a run is repeatable. Between two events all promises that can settle do.
 */
export class VirtualClock implements Clock {
  readonly #start: number
  #now = 0
  #order = 0
  /** A binary heap by time, then order. */
  readonly #events: Event[] = []
  readonly #cancelled = new Set<Event>()

  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#start = start
  }

  now(): number {
    return this.#start + this.#now
  }

  monotonic(): number {
    return this.#now
  }

  after(ms: number, run: () => void): CancelTimer {
    const event = { at: this.#now + Math.max(0, ms), order: this.#order++, run }
    this.#push(event)
    return () => this.#cancelled.add(event)
  }

  /** A promise of this time, for code of the simulation itself. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve)
    })
  }

  /** Lets time pass until `isDone`, at most `ms` virtual milliseconds. Returns whether it was done. */
  async run(ms: number, isDone: () => boolean = () => false): Promise<boolean> {
    const end = this.#now + ms
    await settle()
    while (!isDone()) {
      const event = this.#pop()
      if (event === undefined || event.at > end) {
        if (event !== undefined) this.#push(event)
        this.#now = end
        await settle()
        return isDone()
      }
      if (this.#cancelled.delete(event)) continue
      this.#now = event.at
      event.run()
      await settle()
    }
    return true
  }

  #push(event: Event): void {
    const heap = this.#events
    let index = heap.push(event) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(event, heap[parent])) break
      heap[index] = heap[parent] ?? event
      index = parent
    }
    heap[index] = event
  }

  #pop(): Event | undefined {
    const heap = this.#events
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let index = 0
    for (;;) {
      const left = 2 * index + 1
      const child = isBefore(heap[left + 1], heap[left]) ? left + 1 : left
      const smaller = heap[child]
      if (smaller === undefined || !isBefore(smaller, last)) break
      heap[index] = smaller
      index = child
    }
    heap[index] = last
    return first
  }
}

function isBefore(a: Event | undefined, b: Event | undefined): boolean {
  if (a === undefined || b === undefined) return false
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** One turn of the real event loop: every promise that waits for no timer has settled after it. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
