import type { CancelTimer } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { Up, UpOf } from '../../protocol/messages/up.ts'
import { messageFrame, parseUp } from '../../protocol/parse.ts'
import { toSeq } from '../../protocol/seq.ts'
import type { Authenticated } from '../auth/auth.ts'
import type { HubSession } from '../hub/hub.ts'
import { principalKey, type DevicePrincipal, type TokenFacts } from '../scope/principal.ts'
import type { Expiring } from './expiries.ts'
import type { GatewayDeps } from './gateway-deps.ts'
import { Outflow } from './outflow.ts'
import type { GatewayTransport } from './seams.ts'
import { notice, toTideError } from './tell-error.ts'
import { TokenBucket } from './token-bucket.ts'
import { Session, type Wire } from './session.ts'
import { checkProtocol, welcomeFrame } from './welcome.ts'

type Phase =
  | { readonly name: 'new' }
  | { readonly name: 'greeting' }
  | { readonly name: 'open'; readonly session: Session; readonly hub: HubSession }
  | { readonly name: 'closed' }

const fresh: Phase = { name: 'new' }
const greeting: Phase = { name: 'greeting' }
const closed: Phase = { name: 'closed' }
const nothing = (): void => undefined

/** Of a message. Acknowledgements answer what the server sends, hundreds a second to a client that is quick. */
const ackCost = 0.02

/** Between hello and welcome: a thousand clients that come at once wait for the database in line. Milliseconds. */
const greetingMs = 60_000

/**
 * One connection, whatever carries it: hears frames, greets, lets its session ask the rooms, sends frames. It knows no
 * socket, so that a simulation can drive it.
 *
 *     new ── hello ──▶ greeting ── authenticated, device known, hub open ──▶ open ──▶ closed
 *
 * - G1 the first message is `hello`, within `limits.helloMs`; nothing else is heard before `welcome` is sent
 * - G2 nothing of the hub is sent before `welcome`
 * - G3 pushes are handled one after the other, in the order they came; other requests do not wait for them
 * - G4 a bad frame is answered with a code and changes nothing; `limits.badFrames` in a row close the connection
 * - G5 after `closed` nothing is sent and no room hears of the session any more
 * - G6 every frame counts against one rate, whatever it says and also when it cannot be read; beyond it the connection
 *   ends
 * - G7 what waits for a client that does not read is bounded (`outflow.ts`)
 */
export class Connection implements Wire, Expiring {
  readonly #deps: GatewayDeps
  readonly #outflow: Outflow
  readonly #messages: TokenBucket
  /** When it was greeted, milliseconds since 1970. */
  openedAt = Number.POSITIVE_INFINITY
  #phase = fresh
  #badInARow = 0
  #cancelTimer: CancelTimer
  /** It counts no more as a connection of its principal. */
  #leave = nothing
  readonly #greeted: () => void

  constructor(deps: GatewayDeps, transport: GatewayTransport) {
    const { clock, limits } = deps
    this.#deps = deps
    this.#greeted = () => transport.greeted?.()
    this.#outflow = new Outflow(transport, (error) => this.fatal(error))
    this.#messages = new TokenBucket(clock, limits.messagesPerSecond, limits.messageBurst)
    this.#cancelTimer = clock.after(limits.helloMs, () => {
      this.fatal(new TideError('timeout', `No hello came within ${limits.helloMs} ms.`))
    })
  }

  /** One frame from the client. */
  receive(bytes: Uint8Array): void {
    if (this.#phase.name === 'closed') return
    let unpaid = 1
    try {
      const { messageBytes, helloBytes } = this.#deps.limits
      const most = this.#phase.name === 'open' ? messageBytes : helloBytes
      if (bytes.byteLength > most) {
        throw new TideError(
          'message_too_large',
          `A frame of ${bytes.byteLength} bytes was sent; at most ${most} are taken.`,
        )
      }
      const { message } = parseUp(bytes)
      this.#badInARow = 0
      this.#deps.count?.('message', message.type)
      const cost = message.type === 'ack' ? ackCost : 1
      unpaid -= cost
      if (this.#isWithinRate(cost)) this.#hear(message, bytes.byteLength)
    } catch (error) {
      // A message that could be read and is refused has an answer, so it costs as much as any.
      this.#bad(toTideError(error, this.#deps), unpaid)
    }
  }

  /** The transport is gone, or the server closes. */
  close(): void {
    const phase = this.#phase
    if (phase.name === 'closed') return
    this.#phase = closed
    this.#cancelTimer()
    this.#leave()
    if (phase.name === 'open') {
      const { presence, expiries, byDevice } = this.#deps
      const { session, hub } = phase
      session.pushes?.clear()
      session.standing?.ended()
      hub.close()
      presence.leave(session)
      expiries.delete(this)
      if (byDevice.get(session.principal.deviceId) === this) byDevice.delete(session.principal.deviceId)
    }
    this.#outflow.close()
  }

  /**
   * Lets the push that has begun end, and sends the client elsewhere: back at the earliest after so many milliseconds.
   */
  async drain(retryAfterMs: number): Promise<void> {
    if (this.#phase.name === 'open') await this.#phase.session.pushes?.finish()
    this.fatal(
      new TideError('closed', 'This server ends; another one, or this one started again, goes on.', {
        remedy: 'Nothing: the client connects again.',
        retryAfterMs,
      }),
    )
  }

  /** Something that concerns everybody. */
  tell(error: TideError): void {
    if (this.#phase.name === 'open') this.send(notice(error))
  }

  #hear(message: Up, bytes: number): void {
    const phase = this.#phase
    if (message.type === 'hello') {
      if (phase.name !== 'new') throw new TideError('bad_message', 'A second hello came on one connection.')
      this.#phase = greeting
      this.#cancelTimer()
      this.#cancelTimer = this.#deps.clock.after(greetingMs, () => {
        this.fatal(new TideError('timeout', `The welcome was not ready within ${greetingMs} ms.`))
      })
      void this.#greet(message)
      return
    }
    if (phase.name !== 'open')
      throw new TideError('bad_message', `A message of type ${message.type} came before the welcome.`)
    // A server that stood still hears what waited before its timers.
    if (this.#deps.expiries.isOver(this)) return this.expire()
    if (message.type === 'authenticate') void this.#authenticate(phase.session, message)
    else phase.session.hear(phase.hub, message, bytes)
  }

  async #greet(hello: UpOf<'hello'>): Promise<void> {
    const isClosed = (): boolean => this.#phase === closed
    try {
      checkProtocol(hello.protocol)
      const who = await this.#deps.auth.authenticate(hello.token)
      const device = await this.#deps.devices.register(who, hello)
      if (isClosed()) return
      // A device that comes back takes the place of its own connection.
      const beyond = this.#deps.byDevice.has(device.deviceId) ? 1 : 0
      this.#leave = this.#deps.admissions?.enter(principalKey(who), beyond) ?? nothing
      const principal: DevicePrincipal = {
        kind: who.kind,
        id: who.id,
        organizationId: who.organizationId,
        deviceId: device.deviceId,
        ...(device.formFactor === undefined ? {} : { formFactor: device.formFactor }),
      }
      const session = new Session(this, this.#deps, {
        principal,
        deviceName: hello.device.name,
        cursor: hello.cursor && { epoch: hello.cursor.epoch, seq: toSeq(hello.cursor.seq) },
        token: hello.token,
        facts: factsOf(who),
      })
      const hub = await this.#deps.hub.open(session)
      if (isClosed()) return hub.close()
      this.#cancelTimer()
      this.#cancelTimer = nothing
      session.standing = this.#deps.standings?.open(principal, {
        given: hello.clientSeq,
        answered: device.clientSeq,
        caughtUp: () => hub.caughtUp,
      })
      this.#open(session, hub, device.clientSeq, who.expiresAt)
    } catch (error) {
      this.fatal(toTideError(error, this.#deps))
    }
  }

  #open(session: Session, hub: HubSession, clientSeq: number, expiresAt: number): void {
    const { principal } = session
    const { byDevice, presence, expiries } = this.#deps
    byDevice.get(principal.deviceId)?.close()
    byDevice.set(principal.deviceId, this)
    this.#deps.opened?.(principal.deviceId)
    this.openedAt = this.#deps.clock.now()
    session.hub = hub
    this.#phase = { name: 'open', session, hub }
    this.#greeted()
    const trouble = this.#deps.trouble?.()
    const welcome = welcomeFrame(this.#deps, { principal, hub, clientSeq, expiresAt })
    this.#outflow.open([welcome, ...(trouble ? [notice(trouble)] : [])])
    presence.enter(session)
    expiries.set(this, expiresAt)
    // It was looked at before the hub knew of this session: a token that ended in between is told to nobody.
    hub.credentialsChanged()
    this.#deps.log.debug('Session open', {
      device: principal.deviceId,
      principal: principal.id,
      organization: principal.organizationId,
      resume: hub.resume,
    })
  }

  async #authenticate(session: Session, { ref, token }: UpOf<'authenticate'>): Promise<void> {
    const { principal } = session
    try {
      const who = await this.#deps.auth.authenticate(token)
      const { id, organizationId, sessionId } = who
      if (id !== principal.id || organizationId !== principal.organizationId) {
        throw new TideError('token_invalid', 'The new token is of another principal than the connection.', {
          remedy: 'Open another connection for it.',
        })
      }
      if (sessionId !== undefined) await this.#deps.devices.useSession(principal.deviceId, sessionId)
      this.#renew(session, token, who)
      this.send(messageFrame({ type: 'authenticated', ref, tokenExpiresAt: who.expiresAt }))
    } catch (error) {
      this.refuse(error, { ref })
    }
  }

  #renew(session: Session, token: string, who: Authenticated): void {
    if (this.#phase.name !== 'open') return
    session.token = token
    session.facts = factsOf(who)
    this.#deps.expiries.set(this, who.expiresAt)
  }

  /** Credentials of the principal changed: the token in use may be revoked, or have another end or other scopes. */
  async checkToken(): Promise<void> {
    if (this.#phase.name !== 'open') return
    const { session } = this.#phase
    try {
      const { token } = session
      const who = await this.#deps.auth.authenticate(token)
      if (session.token === token) this.#renew(session, token, who)
    } catch (error) {
      this.fatal(toTideError(error, this.#deps))
    }
  }

  /** The token is past its end. */
  expire(): void {
    this.fatal(new TideError('token_expired', 'The token of this connection is past its end.'))
  }

  /** Ends the connection where not. */
  #isWithinRate(cost: number): boolean {
    const retryAfterMs = this.#messages.take(cost)
    if (retryAfterMs === 0) return true
    this.fatal(
      new TideError('rate_limited', `More than ${this.#deps.limits.messagesPerSecond} messages a second came.`, {
        retryAfterMs: Math.max(1000, retryAfterMs),
      }),
    )
    return false
  }

  #bad(error: TideError, cost: number): void {
    if (!this.#isWithinRate(cost)) return
    this.#badInARow += 1
    if (this.#phase.name === 'new' || this.#badInARow >= this.#deps.limits.badFrames) this.fatal(error)
    else this.refuse(error, {})
  }

  /** Tells why something is not done, and goes on. */
  refuse(reason: unknown, about: Pick<DownOf<'error'>, 'ref' | 'subscription'>): void {
    const error = toTideError(reason, this.#deps)
    if (this.#phase.name === 'closed') return
    this.#deps.count?.('error', error.code)
    this.#deps.log.debug('Refused', { code: error.code, ...about })
    this.send(messageFrame({ type: 'error', fatal: false, error: error.toBody(), ...about }))
  }

  /** Tells the error and ends. */
  fatal(error: TideError): void {
    if (this.#phase.name === 'closed') return
    this.#deps.count?.(this.#phase.name === 'open' ? 'error' : 'refused', error.code)
    this.#deps.log.debug('Connection ended', { code: error.code })
    this.#outflow.end(messageFrame({ type: 'error', fatal: true, error: error.toBody() }))
    this.close()
  }

  send(frame: Uint8Array, windowed?: boolean): void {
    if (this.#phase.name !== 'closed') this.#outflow.send(frame, windowed)
  }

  sendNewest(key: string, frame: Uint8Array): void {
    if (this.#phase.name !== 'closed') this.#outflow.sendNewest(key, frame)
  }

  room(): Promise<void> | undefined {
    return this.#outflow.room()
  }
}

function factsOf({ scopes, tokenId, sessionId }: Authenticated): TokenFacts {
  return {
    ...(scopes === undefined ? {} : { scopes }),
    ...(tokenId === undefined ? {} : { tokenId }),
    ...(sessionId === undefined ? {} : { sessionId }),
  }
}
