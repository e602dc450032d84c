/** A wake-up that is not lost: ringing before anyone waits lets the next wait return at once. Many rings are one. */
export class Bell {
  #rung = false
  #waiter: (() => void) | undefined

  ring(): void {
    this.#rung = true
    this.#waiter?.()
  }

  async wait(): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        this.#waiter = resolve
      })
      this.#waiter = undefined
    }
    this.#rung = false
  }
}
