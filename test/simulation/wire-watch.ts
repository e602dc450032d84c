import { decodeFrame } from '../../protocol/frame.ts'
import type { Down } from '../../protocol/messages/down.ts'
import type { Tally } from './tally.ts'

/** Counts what one connection brings to its client. */
export class WireWatch {
  readonly #tally: Tally
  /** Subscriptions of which pages have come and the end has not. */
  readonly #loading = new Set<string>()

  constructor(tally: Tally) {
    this.#tally = tally
  }

  heard(frame: Uint8Array): void {
    // The real server wrote it, and the client checks it.
    const message = decodeFrame(frame).message as Down
    if (message.type === 'page') this.#loading.add(message.subscription)
    else if (message.type === 'authenticated') this.#tally.add('token renewed')
    else if (message.type === 'error' && message.error.code === 'cursor_too_old') this.#tally.add('too far behind')
    else if (message.type === 'error' && message.error.code === 'token_expired') this.#tally.add('token expired')
    else if (message.type === 'verified') this.#tally.add('verified')
    else if (message.type === 'batch') {
      if (message.leaves.some(({ revoked }) => revoked)) this.#tally.add('access revoked')
      for (const id of message.activated) if (this.#loading.delete(id)) this.#tally.add('bootstrap')
    }
  }

  ended(): void {
    if (this.#loading.size > 0) this.#tally.add('bootstrap interrupted')
  }
}
