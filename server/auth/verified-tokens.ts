import type { Clock } from '../../lib/clock.ts'

/** Keys that are served elsewhere may be withdrawn. Milliseconds. */
const keptMs = 60_000
const maxTokens = 2000

/**
 * Signed tokens that were just verified. A signature stays what it is until the token ends, so a fleet that comes with
 * one token, or a client that comes again, is not verified each time. Whether the principal is active is not known
 * here.
 */
export class VerifiedTokens<T extends { readonly expiresAt: number }> {
  readonly #clock: Clock
  readonly #tokens = new Map<string, { readonly authenticated: T; readonly until: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(token: string): T | undefined {
    const known = this.#tokens.get(token)
    if (!known) return undefined
    if (this.#clock.now() < known.until) return known.authenticated
    this.#tokens.delete(token)
    return undefined
  }

  /** Returns what is kept. */
  keep(token: string, authenticated: T): T {
    const until = Math.min(authenticated.expiresAt, this.#clock.now() + keptMs)
    this.#tokens.set(token, { authenticated, until })
    const oldest = this.#tokens.keys().next()
    if (this.#tokens.size > maxTokens && !oldest.done) this.#tokens.delete(oldest.value)
    return authenticated
  }
}
