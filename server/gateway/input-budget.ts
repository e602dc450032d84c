/** Bytes of what a client has sent and the server holds, because it waits or is worked on. */
export class InputBudget {
  readonly most: number
  #held = 0

  constructor(most: number) {
    this.most = most
  }

  /** Whether there was room; then they are held until `release`. What is alone always has room. */
  take(bytes: number): boolean {
    if (this.#held > 0 && this.#held + bytes > this.most) return false
    this.#held += bytes
    return true
  }

  release(bytes: number): void {
    this.#held -= bytes
  }
}
