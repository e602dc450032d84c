/** What is asked over the writer's connection about the one that reads the slot. Places are bytes of WAL. */
export interface SilenceProbe {
  /** Milliseconds since the stream was heard; 0 while nobody listens to it. */
  silentMs(): number
  /** Writes something of our own into the WAL, which the stream must bring. Answers its place. */
  mark(): Promise<number>
  /** Up to which place Postgres has sent; undefined: nobody reads the slot any more. */
  sent(): Promise<number | undefined>
}

/** A status that asks for an answer goes out every 5 s. */
const suspectMs = 7000
const looksAfter = 2

/**
 * Notices that the stream is cut off and Postgres is not: Postgres has sent what was written after the silence began,
 * and it does not come. In the middle of a big transaction Postgres is silent too, but then it has not got so far.
 */
export class SilenceWatch {
  readonly #probe: SilenceProbe
  #mark: number | undefined
  #looks = 0

  constructor(probe: SilenceProbe) {
    this.#probe = probe
  }

  /** To be asked about once a second. */
  async isCut(): Promise<boolean> {
    if (this.#probe.silentMs() < suspectMs) {
      this.#mark = undefined
      this.#looks = 0
      return false
    }
    if (this.#mark === undefined) {
      this.#mark = await this.#probe.mark()
      return false
    }
    const sent = await this.#probe.sent()
    if (sent === undefined || sent >= this.#mark) this.#looks++
    return this.#looks >= looksAfter && this.#probe.silentMs() >= suspectMs
  }
}
