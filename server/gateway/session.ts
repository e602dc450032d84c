import type { TideError } from '../../protocol/error.ts'
import type { Cursor } from '../../protocol/seq.ts'
import type { HubSession, SessionOptions } from '../hub/hub.ts'
import type { Standing } from '../auth/auth.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { PresenceSession, Presence } from './presence.ts'
import type { PushQueue } from './push-queue.ts'
import { InputBudget } from './input-budget.ts'
import { Requests } from './requests.ts'
import type { TokenBucket } from './token-bucket.ts'

/** The connection under a session. */
export interface Wire {
  send(frame: Uint8Array, windowed?: boolean): void
  sendNewest(key: string, frame: Uint8Array): void
  room(): Promise<void> | undefined
  fatal(error: TideError): void
  checkToken(): Promise<void>
}

/**
 * Who has said hello on a connection, as hub and presence know it. There may be many thousands that do nothing, so what only some
 * need is made when they need it.
 */
export class Session implements PresenceSession, SessionOptions {
  readonly principal: DevicePrincipal
  readonly deviceName: string
  readonly cursor: Cursor | null
  token: string
  /** What the token in use is limited to. */
  scopes: readonly string[]
  hub: HubSession | undefined
  pushes: PushQueue | undefined
  presenceRate: TokenBucket | undefined
  standing: Standing | undefined
  readonly #wire: Wire
  readonly #presence: Pick<Presence, 'recheck'>
  readonly #waitingBytes: number
  #input: InputBudget | undefined
  #requests: Requests | undefined

  constructor(
    wire: Wire,
    presence: Pick<Presence, 'recheck'>,
    who: Pick<Session, 'principal' | 'deviceName' | 'cursor' | 'token' | 'scopes'> & { readonly waitingBytes: number },
  ) {
    this.#wire = wire
    this.#presence = presence
    this.principal = who.principal
    this.deviceName = who.deviceName
    this.cursor = who.cursor
    this.token = who.token
    this.scopes = who.scopes
    this.#waitingBytes = who.waitingBytes
  }

  /** Who writes and calls: the principal, within the scopes of its token. */
  get writer(): DevicePrincipal {
    return this.scopes.length === 0 ? this.principal : { ...this.principal, scopes: this.scopes }
  }

  follows(channel: string): boolean {
    return this.hub?.follows(channel) ?? false
  }

  mayEnter(channel: string): boolean {
    return this.follows(channel) || (this.hub?.access.channels.has(channel) ?? false)
  }

  /** Whoever lost a channel is not shown there any more. */
  accessChanged(): void {
    this.#presence.recheck(this)
  }

  /** What its pushes and requests hold together. */
  get input(): InputBudget {
    return (this.#input ??= new InputBudget(this.#waitingBytes))
  }

  get requests(): Requests {
    return (this.#requests ??= new Requests(() => this.#wire.room(), this.input))
  }

  send(frame: Uint8Array, windowed?: boolean): void {
    this.#wire.send(frame, windowed)
  }

  sendPresence(channel: string, frame: Uint8Array): void {
    this.#wire.sendNewest(channel, frame)
  }

  room(): Promise<void> | undefined {
    return this.#wire.room()
  }

  ended(error: TideError): void {
    this.#wire.fatal(error)
  }

  credentialsChanged(): Promise<void> {
    return this.#wire.checkToken()
  }
}
