import { frameOf } from '../../protocol/block-frame.ts'
import { TideError } from '../../protocol/error.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { messageFrame } from '../../protocol/parse.ts'
import { toSeq, type Seq } from '../../protocol/seq.ts'
import { noAccess, type Access } from '../scope/access.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import { BootstrapTimes } from './bootstrap-times.ts'
import type { AccessAnswer, Moment, Step } from './feed.ts'
import { Leaves } from './leaves.ts'
import { PageStream } from './pages.ts'
import { FollowedSet, type ReadPlan } from './followed.ts'
import type { WatchedStep } from './hub-observer.ts'
import type { Beginning, HubSession, SessionOptions } from './hub-session.ts'
import type { View } from './route.ts'
import { noSubscription, notHeld, notOpen, refused, tooMany, tooManyPages } from './session-errors.ts'
import type { SessionHost } from './session-host.ts'
import { nextState, type SessionEvent, type SessionState } from './session-state.ts'
import { toSpec, type Spec } from './spec.ts'
import { noExtras, type Batch, type StepFrames } from './step-frames.ts'
import { verifiedFrame, VerifyQueue, type VerifyRequest } from './verify-queue.ts'
import { Window } from './window.ts'

const done = Promise.resolve()
/** A client fetches two subscriptions at a time, and may have begun others anew meanwhile. */
const mostPages = 4

export class Session implements HubSession {
  readonly principal: DevicePrincipal
  readonly resume: boolean
  readonly epoch: string
  readonly #options: SessionOptions
  readonly #host: SessionHost<Session>
  readonly #followed: FollowedSet
  readonly #window: Window
  #pagesAsked = 0
  /** These two while a bootstrap is under way. */
  #pages: PageStream | undefined
  #bootstraps: BootstrapTimes | undefined
  #access: Access = noAccess
  /** The snapshot that says so. */
  #accessOf: Moment = Number.NEGATIVE_INFINITY
  #admitted = false
  readonly #leaves = new Leaves()
  #state: SessionState = 'idle'
  #seq: Seq
  #acknowledged: Seq
  #last = done
  #watched: WatchedStep | undefined
  #verifies: VerifyQueue | undefined
  /** While its token is being looked at. */
  #check: Promise<void> | undefined

  constructor(options: SessionOptions, host: SessionHost<Session>, at: Beginning) {
    this.#options = options
    this.#host = host
    this.#followed = new FollowedSet(host.index)
    this.#window = new Window(host.limits)
    this.principal = options.principal
    this.epoch = at.epoch
    this.resume = at.resume
    this.#seq = at.seq
    this.#acknowledged = at.seq
  }

  get access(): Access {
    return this.#access
  }

  /** The snapshot that its access is of. */
  get accessOf(): Moment {
    return this.#accessOf
  }

  get state(): SessionState {
    return this.#state
  }

  get caughtUp(): boolean {
    return this.#window.empty
  }

  /** Everything up to here was sent. */
  get seq(): Seq {
    return this.#seq
  }

  get subscriptions(): number {
    return this.#followed.size
  }

  /** Subscriptions that are fetching their first rows. */
  get bootstraps(): number {
    return this.#bootstraps?.size ?? 0
  }

  follows(channel: string): boolean {
    return this.#followed.follows(channel)
  }

  /** Takes the access it is admitted with. Throws `device_revoked` or `token_invalid` when that is none. */
  admit(answer: AccessAnswer): void {
    this.#admitted = true
    this.#learn(answer)
    if (!this.#access.active) throw refused(this.#access, this.principal)
  }

  /**
   * A step that began to be read before a session asked for its access may answer after it: what is older counts no
   * more.
   */
  #learn({ access, moment }: AccessAnswer): void {
    if (moment < this.#accessOf) return
    this.#access = this.#host.known(this.principal, access)
    this.#accessOf = moment
  }

  subscribe(subscriptions: readonly (Subscription & { readonly held: boolean })[]): Promise<void> {
    return this.#inOrder(() => this.#subscribeAll(subscriptions))
  }

  /** Requests wait for the subscriptions that were asked for before them. */
  async #inOrder(task: () => Promise<void> | void): Promise<void> {
    const done = this.#last.then(task)
    this.#last = done.catch(() => undefined)
    return done
  }

  async #subscribeAll(subscriptions: readonly (Subscription & { readonly held: boolean })[]): Promise<void> {
    const unknown = subscriptions.some(({ channel }) => !this.#access.channels.has(channel))
    // Losses are told by the live loop; what was gained is seen by asking.
    if (unknown) this.#learn(await this.#host.access(this.principal))
    if (this.#state === 'ended') return
    for (const subscription of subscriptions) this.#subscribe(subscription)
    this.#need()
  }

  #subscribe({ held, ...subscription }: Subscription & { readonly held: boolean }): void {
    const { id, channel } = subscription
    try {
      this.#admit(subscription, held)
      const spec = toSpec(subscription, this.principal, this.#host.tables)
      const isReached = this.#acknowledged === this.#seq && !this.#followed.knows(id)
      if (held) this.#followed.hold(id, spec, isReached ? null : this.#acknowledged)
      else this.#stage(id, spec)
      this.#send(messageFrame({ type: 'subscribed', id }))
    } catch (error) {
      if (!(error instanceof TideError)) throw error
      if (held && error.code === 'forbidden') this.#leaves.add(channel, true)
      this.#send(messageFrame({ type: 'subscribed', id, error: error.toBody() }))
    }
  }

  #stage(id: string, spec: Spec): void {
    this.#followed.stage(id, spec)
    const { clock, observer } = this.#host
    this.#bootstraps ??= new BootstrapTimes(clock, (ms) => observer.bootstrapped(ms))
    this.#bootstraps.begin(id)
  }

  #admit({ id, channel }: Subscription, held: boolean): void {
    const { subscriptions } = this.#host.limits
    if (this.#followed.size >= subscriptions && !this.#followed.knows(id)) throw tooMany(subscriptions, id)
    if (!this.#access.channels.has(channel)) throw notOpen(channel, this.principal)
    if (held && !this.resume) throw notHeld(id)
  }

  unsubscribe(id: string): void {
    void this.#inOrder(() => this.#unfollow(id))
  }

  #unfollow(id: string): void {
    this.#followed.remove(id)
    this.#endBootstrap(id, false)
  }

  #endBootstrap(id: string, complete: boolean): void {
    this.#bootstraps?.end(id, complete)
    if (this.bootstraps === 0) this.#bootstraps = undefined
  }

  async page(subscription: string, after: string | null): Promise<void> {
    if (this.#pagesAsked >= mostPages) throw tooManyPages(mostPages)
    this.#pagesAsked += 1
    try {
      await this.#last
      const { spec } = this.#followed.get(subscription)
      await this.#options.room?.()
      this.#pages ??= new PageStream(this.#host.pages)
      const { frame, shows, next } = await this.#pages.get({ epoch: this.epoch, spec, subscription, after })
      // It may show what was committed after a loss that nobody has noticed yet.
      await this.#host.passed(shows)
      await this.#check
      if (next === null) this.#endPages()
      // Unsubscribed, or another subscription of the same id meanwhile: its pages are asked for anew.
      if (this.#followed.get(subscription).spec !== spec) return
      this.#followed.show(subscription, after, shows)
      this.#send(frame)
    } finally {
      this.#pagesAsked -= 1
    }
  }

  #endPages(): void {
    this.#pages?.drop()
    this.#pages = undefined
  }

  activate(subscription: string, from: number): void {
    void this.#inOrder(() => {
      if (!this.#followed.knows(subscription)) return this.#send(noSubscription(subscription))
      this.#followed.activate(subscription, toSeq(from))
      this.#need()
    })
  }

  async verify(subscription: string, ref: number): Promise<void> {
    await this.#last
    await this.#options.room?.()
    const followed = this.#followed.get(subscription)
    if (!followed.active)
      throw new TideError('not_found', `Subscription ${subscription} has no full state yet that could be verified.`)
    this.#verifies ??= new VerifyQueue()
    this.#verifies.add(followed, ref, this.#host.limits.subscriptions)
    this.#need()
  }

  ack(seq: number): void {
    if (seq > this.#acknowledged && seq <= this.#seq) this.#acknowledged = toSeq(seq)
    this.#window.acknowledged(seq)
    this.#host.observer.acknowledged(seq)
    if (this.#watched && seq >= this.#watched.to) {
      this.#watched.acknowledged()
      this.#watched = undefined
    }
    this.#goOn()
  }

  #goOn(): void {
    if (this.#state !== 'stalled' || !this.#window.open || this.#check) return
    this.#move('opened')
    this.#host.feed(this)
  }

  close(): void {
    if (this.#state === 'ended') return
    this.#move('end')
    this.#bootstraps?.abandon()
    this.#followed.clear()
    this.#endPages()
    this.#host.gone(this)
  }

  /** Ends it from this side. */
  end(error: TideError): void {
    if (this.#state === 'ended') return
    this.close()
    this.#options.ended(error)
  }

  credentialsChanged(): void {
    const check = Promise.all([this.#check, this.#options.credentialsChanged?.()]).then(() => {
      if (this.#check === check) this.#check = undefined
      this.#goOn()
    })
    this.#check = check
    this.#move('doubted')
  }

  // What follows is how the hub feeds it.

  plan(): ReadPlan {
    return this.#followed.plan(this.#seq)
  }

  /** The verification to be answered with the next read. */
  get verification(): VerifyRequest | undefined {
    return this.#verifies?.first
  }

  get view(): View {
    return this.#followed.view
  }

  /** True when steps read for others are enough: nothing must be read from before where it stands, or counted. */
  get sharesSteps(): boolean {
    return this.verification === undefined && this.#followed.settled
  }

  /**
   * Ends the subscriptions whose channels were lost; they are told at once, or with the batch that `deliver` is about
   * to send.
   */
  applyAccess(told: Access, step: Step, withBatch: boolean): void {
    this.#learn({ access: told, moment: step.moment })
    // The step may be of before its device or its user existed: whether it comes in is for its own reading to say.
    if (!this.#admitted) return
    for (const { id, spec } of this.#followed) {
      if (this.#access.channels.has(spec.selection.channel)) continue
      this.#leaves.add(spec.selection.channel, true)
      this.#unfollow(id)
    }
    this.#options.accessChanged?.()
    if (!this.#leaves.isEmpty && !(withBatch && this.#access.active)) this.#flushLeaves(step)
    if (!this.#access.active) this.end(refused(this.#access, this.principal))
  }

  /** Sends what a step of the live loop or of the ring means to it. */
  deliver(frames: StepFrames): void {
    this.#deliver(frames, this.#followed.view, [], false)
  }

  /** Sends what a step read for this session alone means to it. */
  deliverOwn(frames: StepFrames, plan: ReadPlan, verification: VerifyRequest | undefined): void {
    const active = plan.followed.filter((one) => this.#followed.has(one))
    const activated = active.filter(({ announced }) => announced).map(({ id }) => id)
    const specs = active.map(({ spec }) => spec)
    this.#followed.reached(plan)
    this.#deliver(
      frames,
      { specs, channels: new Set(specs.map(({ selection }) => selection.channel)) },
      activated,
      verification !== undefined,
    )
    if (verification) this.answer(verification, (ref) => verifiedFrame(frames.step, ref))
  }

  /** Tells all who asked for a count what it is, or why there is none. */
  answer(verification: VerifyRequest, frameOf: (ref: number) => Uint8Array): void {
    this.#verifies?.remove(verification)
    for (const ref of verification.refs) this.#send(frameOf(ref))
  }

  /** It has all that the live loop has sent. */
  joinLive(): void {
    this.#move('reached')
  }

  missed(): void {
    this.#move('missed')
    this.#host.feed(this)
  }

  frontier(frame: Uint8Array): void {
    if (this.#state === 'live') this.#send(frame)
  }

  #deliver(
    frames: StepFrames,
    { specs, channels }: Pick<View, 'specs' | 'channels'>,
    activated: string[],
    always: boolean,
  ): void {
    const { step } = frames
    for (const { channel, left, homes } of step.departures) {
      const follows = (home: string): boolean => channels.has(home)
      if (left.some(follows) && !homes.some(follows)) this.#leaves.add(channel, false)
    }
    const extras = {
      leaves: this.#leaves.take(),
      settled: frames.settledOf(this.principal.deviceId),
      activated,
      resets: step.resets.filter((table) => specs.some(({ tables }) => tables.has(table))),
    }
    const batch = frames.batch(specs, extras, always)
    this.#seq = step.to
    for (const id of activated) this.#endBootstrap(id, true)
    if (batch) this.#sendBatch(batch)
  }

  #flushLeaves({ at }: Step): void {
    const extras = { ...noExtras(), leaves: this.#leaves.take() }
    const frame = frameOf({ type: 'batch', to: this.#seq, at, more: false, deletes: [], ...extras }, [])
    this.#sendBatch({ frames: [frame], bytes: frame.byteLength, shared: false })
  }

  #sendBatch(batch: Batch): void {
    for (const frame of batch.frames) this.#send(frame, true)
    this.#host.sent(batch)
    this.#window.sent(this.#seq, batch.bytes)
    this.#watched ??= this.#host.watched(this.#seq)
    if (this.#window.open) return
    this.#move('filled')
    this.#host.observer.stalled()
  }

  #need(): void {
    this.#move('need')
    if (this.#check) this.#move('doubted')
    if (this.#state === 'behind') this.#host.feed(this)
  }

  #move(event: SessionEvent): void {
    this.#state = nextState(this.#state, event)
  }

  #send(frame: Uint8Array, windowed?: boolean): void {
    if (this.#state !== 'ended') this.#options.send(frame, windowed)
  }
}
