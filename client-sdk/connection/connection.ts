/**
 * The way between a replica and a server. `connection-state.ts` says when to try, wait or give up; `session.ts` what is
 * said once greeted; this class does it: tokens, transport, timers. SPEC.md has the invariants.
 *
 * It needs no local write to come back: every end of a connection but a final refusal leads to a next try.
 */
import { backoffDelay } from '../../lib/backoff.ts'
import type { CancelTimer } from '../../lib/clock.ts'
import { unreachable } from '../../lib/invariant.ts'
import { Listeners } from '../../lib/listeners.ts'
import { TideError } from '../../protocol/error.ts'
import type { Json, Row } from '../../protocol/rows/row.ts'
import type { Down, DownOf } from '../../protocol/messages/down.ts'
import type { Up, UpOf } from '../../protocol/messages/up.ts'
import { messageFrame, parseDown, type Parsed } from '../../protocol/parse.ts'
import { protocolVersion } from '../../protocol/protocol-version.ts'
import { blocksOf } from '../../protocol/block-frame.ts'
import { transition, type ConnectionEffect, type ConnectionEvent, type ConnectionState } from './connection-state.ts'
import { phaseOf, toTideError } from './connection-phase.ts'
import { rebuildAfter, timing, type ConnectionOptions, type ConnectionStatus } from './connection-options.ts'
import { Refusals } from './refusals.ts'
import { Requests, type AnswerTo, type Request } from './requests.ts'
import { Session } from './session.ts'
import { StatusKeeper } from './status-keeper.ts'
import { TokenKeeper } from './token-keeper.ts'
import type { TransportConnection } from './transport.ts'
import { Watchdog } from './watchdog.ts'

export type { ConnectionOptions, ConnectionStatus } from './connection-options.ts'

export class Connection {
  readonly #options: ConnectionOptions
  readonly #requests: Requests
  readonly #status: StatusKeeper
  readonly #tokens: TokenKeeper
  readonly #presentListeners = new Listeners<DownOf<'present'>>()
  readonly refusals = new Refusals()
  #state: ConnectionState = { kind: 'idle' }
  #wire: TransportConnection | null = null
  #session: Session | null = null
  /** Messages that came between `welcome` and the start of the session. */
  #early: Parsed<Down>[] | null = null
  /** Counts transports: what an older one says is not heard. */
  #run = 0
  #cancelTimer: CancelTimer = () => {}
  readonly #silence: Watchdog
  #failures = 0
  #ending: Promise<void> = Promise.resolve()

  constructor(options: ConnectionOptions) {
    this.#options = options
    const { clock, token } = options
    this.#requests = new Requests(clock, timing.request)
    this.#status = new StatusKeeper(clock, () => this.#state)
    this.#silence = new Watchdog(clock, timing.silence, () =>
      this.#lost(new TideError('timeout', `Nothing came from the server for ${timing.silence} ms.`)),
    )
    this.#tokens = new TokenKeeper({
      clock,
      token,
      renew: async (fresh) => (await this.request({ type: 'authenticate', token: fresh })).tokenExpiresAt,
      failed: (error) => this.reportError(error),
    })
  }

  get status(): ConnectionStatus {
    return this.#status.now
  }

  /** Starts, or tries at once where it would wait. */
  connect(): void {
    this.#tokens.forgive()
    this.#dispatch({ kind: 'connect' })
  }

  /** Stays offline until `connect`. */
  disconnect(): void {
    this.#dispatch({ kind: 'disconnect' })
  }

  /** For good. Resolves when nothing of this connection touches the replica any more. */
  async close(): Promise<void> {
    this.#dispatch({ kind: 'close' })
    await this.#ending
  }

  /** Asks the server. Throws `TideError`: `offline`, `timeout`, or what the server answers. */
  async request<R extends Request>(request: R): Promise<AnswerTo<R>> {
    const { message } = await this.#ask(request)
    // `Requests` has checked that the answer is of the type that belongs to the request.
    return message as AnswerTo<R>
  }

  /** Searches on the server; rows are unpacked by the schema of the replica. */
  async search(
    request: Omit<UpOf<'search'>, 'type' | 'ref'>,
  ): Promise<{ readonly rows: readonly Row[]; readonly hits: DownOf<'found'>['hits'] }> {
    const { message, sections } = await this.#ask({ type: 'search', ...request })
    const { blocks, hits } = message as DownOf<'found'>
    return { rows: this.#options.replica.unpack(blocksOf(blocks, sections)), hits }
  }

  verify(subscription: string): Promise<DownOf<'verified'>> {
    return this.request({ type: 'verify', subscription })
  }

  /** Shows this device's state to others in a channel; null leaves. Without a connection nobody sees it. */
  sendPresence(channel: string, state: Readonly<Record<string, Json>> | null): void {
    if (this.#state.kind === 'live') this.#send({ type: 'presence', channel, state })
  }

  onPresent(listener: (message: DownOf<'present'>) => void): () => void {
    return this.#presentListeners.add(listener)
  }

  onStatus(listener: (status: ConnectionStatus) => void): () => void {
    return this.#status.onChange(listener)
  }

  /** The server refuses a subscription for good; null: it has taken one that it refused before. */
  onRefused(listener: (id: string, error: TideError | null) => void): () => void {
    return this.refusals.add(listener)
  }

  /** Shows an error in `status` that has no other place to go. */
  reportError(error: unknown): void {
    this.#status.report(error)
  }

  #ask(request: Request): Promise<Parsed<Down>> {
    if (this.#state.kind !== 'live')
      return Promise.reject(
        new TideError('offline', `A ${request.type} needs a connection, and it is ${phaseOf(this.#state)}.`),
      )
    return this.#requests.ask(request, (message) => this.#send(message))
  }

  #dispatch(event: ConnectionEvent): void {
    const { clock, random, backoff = timing.backoff } = this.#options
    const next = transition(this.#state, event, {
      now: clock.monotonic(),
      delay: (attempt) => backoffDelay(backoff, attempt, random),
    })
    this.#state = next.state
    for (const effect of next.effects) this.#perform(effect)
    this.#status.tell()
  }

  #perform(effect: ConnectionEffect): void {
    switch (effect) {
      case 'hangUp':
        return this.#hangUp()
      case 'open':
        return this.#open()
      case 'greet':
        return this.#greet()
      case 'start':
        return this.#start()
      case 'wait':
        return this.#wait()
      default:
        return unreachable(effect)
    }
  }

  #hangUp(): void {
    this.#run += 1
    this.#cancelTimer()
    this.#silence.disarm()
    this.#tokens.stop()
    this.#status.disconnected()
    this.#options.replica.tellTime(null)
    const [session, wire] = [this.#session, this.#wire]
    this.#session = this.#wire = this.#early = null
    if (session !== null) this.#ending = Promise.all([this.#ending, session.end()]).then(() => undefined)
    this.#requests.failAll(new TideError('offline', 'The connection ended before the answer came.'))
    wire?.close()
  }

  #open(): void {
    this.#cancelTimer()
    const run = ++this.#run
    this.#lostAfter(timing.opening, 'The server could not be reached in time.')
    // What the last connection was applying must be done before the cursor is told again.
    this.#ending
      .then(() => this.#tokens.fetch())
      .then(() => {
        if (run !== this.#run) return
        this.#wire = this.#options.transport.open({
          opened: () => this.#heard(run, () => this.#dispatch({ kind: 'opened' })),
          received: (frame) => this.#heard(run, () => this.#receive(frame)),
          closed: (reason) =>
            this.#heard(run, () => this.#lost(new TideError('offline', `The connection ended: ${reason}.`))),
        })
      })
      .catch((error: unknown) => this.#heard(run, () => this.#ended(toTideError(error))))
  }

  #heard(run: number, act: () => void): void {
    if (run !== this.#run) return
    try {
      act()
    } catch (error) {
      this.#unappliable(error)
    }
  }

  #greet(): void {
    const { device, replica, schemaHash = replica.meta.schemaHash ?? '' } = this.#options
    this.#lostAfter(timing.welcome, 'The server did not answer the hello in time.')
    this.#send({
      type: 'hello',
      protocol: protocolVersion,
      token: this.#tokens.current,
      schemaHash,
      device: {
        name: device.name,
        kind: device.kind,
        storageEngine: device.storageEngine ?? 'other',
        fingerprint: replica.meta.fingerprint ?? '',
      },
      // A replica that holds nothing has nothing to continue.
      cursor: replica.subscriptions.some(({ state }) => state === 'held') ? replica.meta.cursor : null,
      clientSeq: Math.max(replica.meta.clientSeq, replica.meta.formerSeq),
    })
  }

  #start(): void {
    this.#cancelTimer()
    const early = this.#early ?? []
    this.#early = null
    this.#status.started()
    this.#silence.arm()
    this.#session?.start()
    for (const parsed of early) this.#take(parsed)
  }

  #wait(): void {
    if (this.#state.kind !== 'waiting') return
    const pause = Math.max(0, this.#state.until - this.#options.clock.monotonic())
    this.#cancelTimer = this.#options.clock.after(pause, () => this.#dispatch({ kind: 'due' }))
  }

  #lostAfter(ms: number, what: string): void {
    this.#cancelTimer()
    this.#cancelTimer = this.#options.clock.after(ms, () => this.#lost(new TideError('timeout', what)))
  }

  #receive(frame: Uint8Array): void {
    if (this.#state.kind === 'live') this.#silence.arm()
    const parsed = parseDown(frame)
    if (parsed.message.type === 'welcome') return this.#welcomed(parsed.message)
    if (this.#state.kind === 'live') return this.#take(parsed)
    if (parsed.message.type === 'error') return this.#ended(TideError.fromBody(parsed.message.error))
    this.#early?.push(parsed)
  }

  #welcomed(welcome: DownOf<'welcome'>): void {
    if (this.#state.kind !== 'greeting' || this.#early !== null)
      throw new TideError('bad_message', 'A welcome came twice.')
    const run = this.#run
    const { replica, clock } = this.#options
    this.#early = []
    replica.applyWelcome(welcome).then(
      ({ ahead }) =>
        this.#heard(run, () => {
          if (ahead) return this.#identityLost()
          this.#session = new Session({
            replica,
            clock,
            send: (message) => this.#send(message),
            unappliable: (error) => this.#heard(run, () => this.#unappliable(error)),
            failed: (error) => this.#heard(run, () => this.#lost(toTideError(error))),
            reported: (error) => this.#heard(run, () => this.reportError(error)),
            identityLost: () => this.#heard(run, () => this.#identityLost()),
            applied: () => {
              this.#failures = 0
            },
            current: () => this.#heard(run, () => this.#status.current()),
            refused: (id, error) => this.refusals.tell(id, error),
          })
          this.#tokens.accepted(welcome.tokenExpiresAt, welcome.serverTime)
          this.#status.welcomed()
          this.#dispatch({ kind: 'welcomed' })
        }),
      (error: unknown) => this.#heard(run, () => this.#ended(toTideError(error))),
    )
  }

  #take(parsed: Parsed<Down>): void {
    const { message } = parsed
    switch (message.type) {
      case 'authenticated':
      case 'verified':
      case 'found':
      case 'called':
        return this.#requests.answer(message.ref, parsed)
      case 'present':
        return this.#presentListeners.tell(message)
      case 'welcome':
        throw new TideError('bad_message', 'A welcome came twice.')
      case 'error':
        if (message.fatal) return this.#ended(TideError.fromBody(message.error))
        this.#status.doubt(TideError.fromBody(message.error))
        if (message.ref !== undefined) return this.#requests.fail(message.ref, TideError.fromBody(message.error))
        return this.#session?.receive({ ...parsed, message })
      default:
        return this.#session?.receive({ ...parsed, message })
    }
  }

  /** The server has ended the connection with a reason, or will not begin it. */
  #ended(error: TideError): void {
    if (this.#tokens.isFinal(error)) return this.#dispatch({ kind: 'refused', error })
    switch (error.code) {
      case 'device_cloned':
        return this.#identityLost()
      case 'cursor_too_old':
        this.#lost(error)
        // What is staged too: pages from before the log was pruned would be refused again and again.
        return this.#afterwards(() => this.#options.replica.rebuild())
      case 'token_expired':
      case 'token_invalid':
        this.#tokens.refused(error)
        return this.#lost(error)
      case 'device_principal_mismatch':
      case 'device_revoked':
      case 'protocol_unsupported':
        return this.#dispatch({ kind: 'refused', error })
      default:
        return this.#lost(error)
    }
  }

  #identityLost(): void {
    const why = 'Another copy of this replica has sent under its identity; it takes a new one.'
    this.#lost(new TideError('device_cloned', why))
    this.#afterwards(() => this.#options.replica.takeNewIdentity())
  }

  #lost(error: TideError): void {
    this.#status.lost(error)
    this.#dispatch({ kind: 'lost', retryAfterMs: error.retryAfterMs })
  }

  /**
   * What came could not be read or applied. A fresh connection sends it again; if that does not help, everything anew.
   */
  #unappliable(error: unknown): void {
    this.#failures += 1
    this.#lost(toTideError(error))
    if (this.#failures < rebuildAfter) return
    this.#failures = 0
    this.#afterwards(() => this.#options.replica.rebuild())
  }

  #afterwards(work: () => Promise<void>): void {
    this.#ending = this.#ending.then(work).catch((error: unknown) => this.reportError(error))
  }

  #send(message: Up): void {
    this.#wire?.send(messageFrame(message))
  }
}
