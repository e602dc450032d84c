import type { Seq } from '../../protocol/seq.ts'

/**
 * How much of what was sent to a session is not acknowledged yet. Full at a number of batches or bytes; open again when
 * half of it is acknowledged, so that a slow session catches up in strides and not batch by batch. One batch always
 * fits into an empty window, however big it is.
 */
export class Window {
  readonly #maxBatches: number
  readonly #maxBytes: number
  #sent: { readonly seq: Seq; readonly bytes: number }[] = []
  #bytes = 0
  #full = false

  constructor(limits: { readonly windowBatches: number; readonly windowBytes: number }) {
    this.#maxBatches = limits.windowBatches
    this.#maxBytes = limits.windowBytes
  }

  get open(): boolean {
    return !this.#full
  }

  sent(seq: Seq, bytes: number): void {
    this.#sent.push({ seq, bytes })
    this.#bytes += bytes
    this.#full ||= this.#sent.length >= this.#maxBatches || this.#bytes >= this.#maxBytes
  }

  /** Nothing that was sent is still to be acknowledged. */
  get empty(): boolean {
    return this.#sent.length === 0
  }

  /** Everything up to `seq` has arrived. Older positions than before change nothing. */
  acknowledged(seq: number): void {
    const rest = this.#sent.findIndex((batch) => batch.seq > seq)
    const gone = this.#sent.splice(0, rest === -1 ? this.#sent.length : rest)
    for (const batch of gone) this.#bytes -= batch.bytes
    if (this.#sent.length <= this.#maxBatches / 2 && this.#bytes <= this.#maxBytes / 2) this.#full = false
  }
}
