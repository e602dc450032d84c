import { unreachable } from '../../lib/invariant.ts'
import { TideError } from '../../protocol/error.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { Up, UpOf } from '../../protocol/messages/up.ts'
import { messageFrame } from '../../protocol/parse.ts'
import type { Cursor } from '../../protocol/seq.ts'
import type { Standing } from '../auth/auth.ts'
import type { HubSession, SessionOptions } from '../hub/hub.ts'
import type { DevicePrincipal, TokenFacts } from '../scope/principal.ts'
import type { GatewayDeps } from './gateway-deps.ts'
import { InputBudget } from './input-budget.ts'
import type { PresenceSession } from './presence.ts'
import { PushQueue } from './push-queue.ts'
import { Requests } from './requests.ts'
import { TokenBucket } from './token-bucket.ts'

type About = Pick<DownOf<'error'>, 'ref' | 'subscription'>

/** The connection under a session. */
export interface Wire {
  send(frame: Uint8Array, windowed?: boolean): void
  sendNewest(key: string, frame: Uint8Array): void
  room(): Promise<void> | undefined
  /** Tells why something is not done: a request, what concerns a subscription, or, without names, something else. */
  refuse(reason: unknown, about: About): void
  /** Tells why the connection ends, and ends it. */
  fatal(error: TideError): void
  checkToken(): Promise<void>
}

/**
 * Who has said hello on a connection, as hub and presence know it, and what it asks of the rooms. There may be many
 * thousands that do nothing, so what only some need is made when they need it.
 */
export class Session implements PresenceSession, SessionOptions {
  readonly principal: DevicePrincipal
  readonly deviceName: string
  readonly cursor: Cursor | null
  token: string
  /** Of the token in use. */
  facts: TokenFacts
  hub: HubSession | undefined
  pushes: PushQueue | undefined
  standing: Standing | undefined
  readonly #wire: Wire
  readonly #deps: GatewayDeps
  #input: InputBudget | undefined
  #requests: Requests | undefined
  #presenceRate: TokenBucket | undefined

  constructor(
    wire: Wire,
    deps: GatewayDeps,
    who: Pick<Session, 'principal' | 'deviceName' | 'cursor' | 'token' | 'facts'>,
  ) {
    this.#wire = wire
    this.#deps = deps
    this.principal = who.principal
    this.deviceName = who.deviceName
    this.cursor = who.cursor
    this.token = who.token
    this.facts = who.facts
  }

  /**
   * Work in the name of the principal and its token. A token that the database has otherwise is looked at: one that is
   * good, if for less, goes on, and any other ends the connection.
   */
  async #asBearer<T>(work: (bearer: DevicePrincipal) => Promise<T>): Promise<T> {
    try {
      return await work({ ...this.principal, ...this.facts })
    } catch (error) {
      if (!(error instanceof TideError && error.code === 'token_invalid')) throw error
      await this.#wire.checkToken()
      return work({ ...this.principal, ...this.facts })
    }
  }

  follows(channel: string): boolean {
    return this.hub?.follows(channel) ?? false
  }

  mayEnter(channel: string): boolean {
    return this.follows(channel) || (this.hub?.access.channels.has(channel) ?? false)
  }

  /** Whoever lost a channel is not shown there any more. */
  accessChanged(): void {
    this.#deps.presence.recheck(this)
  }

  /** One message of the client. Throws what is answered with an error that names nothing. */
  hear(hub: HubSession, message: Exclude<Up, { type: 'hello' | 'authenticate' }>, bytes: number): void {
    const { standing } = this
    switch (message.type) {
      case 'subscribe':
        return this.#ask({}, this.#subscribe(hub, message))
      case 'unsubscribe':
        standing?.unsubscribed(message.id)
        return hub.unsubscribe(message.id)
      case 'page':
        return this.#ask({ subscription: message.subscription }, hub.page(message.subscription, message.after))
      case 'activate':
        standing?.activated(message.subscription)
        return hub.activate(message.subscription, message.from)
      case 'ack':
        hub.ack(message.seq)
        return standing?.acknowledged()
      case 'verify':
        return this.#ask({ ref: message.ref }, hub.verify(message.subscription, message.ref))
      case 'push':
        return (this.pushes ??= this.#pushQueue()).add(message, bytes)
      case 'search':
        return this.#request(message.ref, bytes, () =>
          this.#asBearer((bearer) => this.#deps.search.search(bearer, message)),
        )
      case 'call':
        return this.#request(message.ref, bytes, async () => {
          const result = await this.#asBearer((bearer) => this.#deps.actions.call(bearer, message))
          return messageFrame({ type: 'called', ref: message.ref, result })
        })
      case 'presence':
        return this.#present(message)
      default:
        return unreachable(message)
    }
  }

  async #subscribe(hub: HubSession, { subscriptions }: UpOf<'subscribe'>): Promise<void> {
    await hub.subscribe(subscriptions)
    for (const subscription of subscriptions)
      if (hub.follows(subscription.channel)) this.standing?.subscribed(subscription)
    for (const channel of new Set(subscriptions.map((subscription) => subscription.channel))) {
      if (hub.follows(channel)) this.#deps.presence.greet(this, channel)
    }
  }

  #pushQueue(): PushQueue {
    return new PushQueue({
      limits: this.#deps.limits,
      input: this.#sharedInput(),
      push: (mutations) => {
        this.standing?.pushed(mutations)
        return this.#asBearer((bearer) => this.#deps.mutations.push(bearer, mutations))
      },
      answered: (outcomes) => {
        this.send(messageFrame({ type: 'outcomes', outcomes: [...outcomes] }))
        this.standing?.answered(outcomes)
      },
      refused: (error) => this.#wire.refuse(error, {}),
      overrun: (error) => this.#wire.fatal(error),
    })
  }

  #present({ channel, state }: UpOf<'presence'>): void {
    const { presenceBytes, presencePerSecond } = this.#deps.limits
    this.#presenceRate ??= new TokenBucket(this.#deps.clock, presencePerSecond, presencePerSecond)
    const retryAfterMs = this.#presenceRate.take()
    if (retryAfterMs > 0) throw new TideError('rate_limited', 'Presence changes too often.', { retryAfterMs })
    if (!this.mayEnter(channel)) throw new TideError('forbidden', `Channel ${channel} is not open to this principal.`)
    const size = state === null ? 0 : JSON.stringify(state).length
    if (size > presenceBytes)
      throw new TideError(
        'message_too_large',
        `A presence state has ${size} bytes; at most ${presenceBytes} are taken.`,
      )
    this.#deps.presence.set(this, channel, state)
  }

  #request(ref: number, bytes: number, work: () => Promise<Uint8Array>): void {
    this.#requests ??= new Requests(() => this.#wire.room(), this.#sharedInput())
    const answered = this.#requests.run(bytes, work).then((frame) => this.send(frame))
    this.#ask({ ref }, answered)
  }

  #ask(about: About, work: Promise<void>): void {
    work.catch((error: unknown) => this.#wire.refuse(error, about))
  }

  /** What its pushes and requests hold together. */
  #sharedInput(): InputBudget {
    return (this.#input ??= new InputBudget(this.#deps.limits.waitingBytes))
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
