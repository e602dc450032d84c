import type { CancelTimer, Clock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import { timing, type TokenSource } from './connection-options.ts'

export interface TokenKeeperOptions {
  readonly clock: Clock
  readonly token: TokenSource
  /**
   * Hands a new token to the server on the living connection; answers when it ends, in milliseconds since 1970 of the
   * server.
   */
  readonly renew: (token: string) => Promise<number>
  readonly failed: (error: unknown) => void
}

/** Timers of the platform hold no longer. Milliseconds. */
const longestTimer = 2 ** 31 - 1

/** Gets tokens, replaces them before they end, and does not offer a refused one again. */
export class TokenKeeper {
  readonly #options: TokenKeeperOptions
  #current = ''
  #refused: { readonly token: string; readonly error: TideError } | null = null
  /** How far the server's clock is ahead of this one, milliseconds. */
  #ahead = 0
  #cancel: CancelTimer = () => {}

  constructor(options: TokenKeeperOptions) {
    this.#options = options
  }

  get current(): string {
    return this.#current
  }

  /** Asks for a token. Throws the server's refusal when it is the refused one again. */
  async fetch(): Promise<string> {
    const token = await this.#ask()
    if (this.#refused?.token === token) throw this.#refused.error
    this.#current = token
    return token
  }

  /** The server took the token; both times are the server's, in milliseconds since 1970. */
  accepted(expiresAt: number, serverTime: number): void {
    this.#refused = null
    this.#ahead = serverTime - this.#options.clock.now()
    const lifetimeMs = expiresAt - serverTime
    this.#renewIn(lifetimeMs - Math.min(timing.tokenLead, lifetimeMs / 2))
  }

  refused(error: TideError): void {
    this.#refused = { token: this.#current, error }
  }

  /** The server has refused the only token there is: a function may have another one later, though it has none now. */
  isFinal(error: TideError): boolean {
    return typeof this.#options.token === 'string' && this.#refused?.error === error
  }

  /** Somebody wants to try the same token again. */
  forgive(): void {
    this.#refused = null
  }

  stop(): void {
    this.#cancel()
  }

  async #ask(): Promise<string> {
    const { token } = this.#options
    return typeof token === 'string' ? token : token()
  }

  #renewIn(ms: number): void {
    this.#cancel()
    this.#cancel = this.#options.clock.after(Math.min(Math.max(0, ms), longestTimer), () => void this.#renew())
  }

  async #renew(): Promise<void> {
    const { clock, renew, failed } = this.#options
    try {
      const fresh = await this.#ask()
      // A token function may keep its token until it really ends.
      if (fresh === this.#current) return this.#renewIn(timing.tokenRetry)
      const expiresAt = await renew(fresh)
      this.#current = fresh
      this.accepted(expiresAt, clock.now() + this.#ahead)
    } catch (error) {
      if (error instanceof TideError && error.code === 'offline') return
      failed(error)
      this.#renewIn(timing.tokenRetry)
    }
  }
}
