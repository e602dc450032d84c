import type { Clock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import { messageFrame } from '../../protocol/parse.ts'
import { zeroSeq, type Seq } from '../../protocol/seq.ts'
import type { ChangeSource } from '../capture/change-source.ts'
import { troubleOf } from '../db/db.ts'
import type { Log, Troubles } from '../telemetry/telemetry.ts'
import { AccessWatch } from './access-watch.ts'
import { Bell } from './bell.ts'
import { CatchUp } from './catch-up.ts'
import type { Feed, FeedState, Moment, Step, TooFar } from './feed.ts'
import { History, type Ending } from './history.ts'
import type { HubObserver, WatchedStep } from './hub-observer.ts'
import type { HubLimits } from './limits.ts'
import { Ring } from './ring.ts'
import { ChannelIndex } from './route.ts'
import type { Session } from './session.ts'
import type { DownTables, Spec } from './spec.ts'
import { StepFrames } from './step-frames.ts'

export interface LiveLoopOptions {
  readonly feed: Feed
  readonly source: ChangeSource
  readonly tables: DownTables
  readonly limits: HubLimits
  readonly clock: Clock
  readonly log: Log
  readonly observer: HubObserver
  readonly troubles: Troubles
  /** A session ends because it is too far behind, and will begin anew. */
  readonly onTooFar: () => void
}

/** Somebody who wants to send what was read up to here. */
interface Waiting {
  readonly seq: Seq
  readonly resolve: () => void
}

/** Pauses between tries after failures. Milliseconds. */
const [retryMs, slowestRetryMs] = [200, 2000]
/**
 * A commit counts as completed a moment after it can be read in the WAL; behind a synchronous standby, later: looked
 * for less and less often.
 */
const [pendingMs, slowestPendingMs] = [1, 16]
/** A step takes at most this part of the time: the rest of the processor is for those who write. */
const stepShare = 1 / 4
/** Sessions that were ended together come back one after the other. */
const [comeBackMs, slowestComeBackMs] = [2, 5000]

/**
 * The live loop of a server: reads each step once and hands it to every live session. A step that cannot be read is
 * tried again from the same position, so nothing is skipped; while the loop waits, new commits pile up into one step.
 */
export class LiveLoop {
  readonly index = new ChannelIndex()
  readonly sessions = new Set<Session>()
  readonly catchUp: CatchUp
  readonly history: History
  readonly #options: LiveLoopOptions
  readonly #ring: Ring
  #watch = new AccessWatch()
  /** Sessions that became live since the last step began to be read, which may not have looked at their access. */
  readonly #joined = new Set<Session>()
  /** How many steps had begun when a session came: later ones hold all that was committed before. */
  readonly #cameAt = new WeakMap<Session, number>()
  /** Sessions that became live and were not told yet that they are current. */
  readonly #unsure = new Set<Session>()
  readonly #bell = new Bell()
  #waiting: readonly Waiting[] = []
  #position = zeroSeq
  /** Server time at which nothing after the position had been committed; null: not read yet. */
  #at: number | null = null
  /** Steps that began to be read, and which of them said at what time that was. */
  #begun = 0
  #timedBy = 0
  #frontier: { readonly seq: Seq; readonly at: number; readonly frame: Uint8Array } | undefined
  /** Something was committed up to here; beyond any position: it is not known up to where. */
  #due = 0
  #steps = 0
  #steppedAt = Number.NEGATIVE_INFINITY
  /** How long the last step took. */
  #stepMs = 0
  #pendings = 0
  #lastCanaryAt: number | null = null
  #running: Promise<void> | undefined
  #watched: WatchedStep | undefined
  #stopped = false
  #endPause: () => void = () => undefined

  constructor(options: LiveLoopOptions) {
    this.#options = options
    this.#ring = new Ring(options.limits)
    this.history = new History(options.feed, {
      position: () => this.#position,
      adopt: (state, ending) => this.#adopt(state, ending),
    })
    this.catchUp = new CatchUp({
      ...options,
      ring: this.#ring,
      position: () => this.#position,
      at: () => (options.troubles.feeding ? null : this.#at),
      accessChangedAt: () => this.#watch.changedAt,
      passed: (seq) => this.passed(seq),
      joined: (session) => this.#join(session),
      tooFar: ({ principal, seq }) => {
        this.history.refuse(principal.deviceId, seq)
        options.onTooFar()
      },
      otherEpoch: () => this.#checkEpoch(),
      doubted: () => this.#notice(),
    })
  }

  get position(): Seq {
    return this.#position
  }

  /** From now on it hears of losses of access. */
  enter(session: Session): void {
    this.sessions.add(session)
    this.#cameAt.set(session, this.#begun)
  }

  get steps(): number {
    return this.#steps
  }

  /** The step that ends at `seq`, when it is watched. */
  watched(seq: Seq): WatchedStep | undefined {
    return this.#watched?.to === seq ? this.#watched : undefined
  }

  /** Until whose access and credentials changed up to here has been looked at; undefined: it has. */
  passed(seq: Seq): Promise<void> | undefined {
    if (seq <= this.#position || this.#stopped) return undefined
    this.#notice(seq)
    return new Promise((resolve) => {
      this.#waiting = [...this.#waiting, { seq, resolve }]
    })
  }

  /** Those who wait for the position, or for one that is not reached any more. */
  #tellWaiting(all: boolean): void {
    const isOver = ({ seq }: Waiting): boolean => all || seq <= this.#position
    const over = this.#waiting.filter(isOver)
    this.#waiting = this.#waiting.filter((one) => !isOver(one))
    for (const { resolve } of over) resolve()
  }

  get lastCanaryAt(): number | null {
    return this.#lastCanaryAt
  }

  async start(): Promise<void> {
    await this.#options.source.start((newest) => this.#notice(newest))
    this.#position = await this.history.begin()
    this.#running = this.#run()
    this.#notice()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#endPause()
    this.#bell.ring()
    this.#tellWaiting(true)
    await this.#options.source.stop()
    await this.#running
    for (const session of this.sessions) session.close()
  }

  wake(): void {
    this.#options.source.wake()
  }

  /** There are commits up to a position, or up to one that is not known. */
  #notice(newest = Number.POSITIVE_INFINITY): void {
    if (newest > this.#due) this.#due = newest
    this.#bell.ring()
  }

  async #run(): Promise<void> {
    let failures = 0
    while (!this.#stopped) {
      await this.#bell.wait()
      if (this.#stopped) return
      // One commit is often noticed twice: by its writer here, and by the source.
      if (this.#due <= this.#position) continue
      await this.#gather()
      this.#due = 0
      try {
        await this.#step()
        this.#stepMs = this.#options.clock.monotonic() - this.#steppedAt
        failures = 0
      } catch (error) {
        this.#options.troubles.report('feed', troubleOf(error))
        await this.#pause(Math.min(slowestRetryMs, retryMs * 2 ** Math.min(failures++, 10)))
        if (!this.#stopped) await this.#checkEpoch()
        this.#notice()
      }
    }
  }

  /** The first commit after a while waits for nothing. */
  async #gather(): Promise<void> {
    const { clock, limits } = this.#options
    const busyMs = Math.min(limits.longestGatherMs, Math.max(limits.gatherMs, this.#stepMs / stepShare))
    const gap = this.sessions.size === 0 ? limits.idleGatherMs : busyMs
    const wait = this.#steppedAt + gap - clock.monotonic()
    if (wait > 0) await this.#pause(wait)
    this.#steppedAt = clock.monotonic()
  }

  /** A stop ends it. */
  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#options.clock.after(ms, resolve)
      this.#endPause = resolve
    })
  }

  async #step(): Promise<void> {
    const { generation } = this.index
    const number = ++this.#begun
    const timed = this.#unsure.size > 0
    this.#joined.clear()
    const askedAt = this.#options.clock.monotonic()
    const step = await this.#options.feed.advance(this.#position, {
      organizations: new Set([...this.sessions].map(({ principal }) => principal.organizationId)),
      follows: (channel) => this.index.follows(channel),
      watchAccess: true,
      embeddings: [...this.sessions].some(({ view }) => view.embeddings),
      principals: (changes) => this.#watch.concerned(changes, this.sessions),
      timed,
    })
    if (step.epoch !== undefined && step.epoch !== this.history.epoch) return void (await this.history.look())
    // The database was found to be another one meanwhile, and the position is one of it.
    if (step.from !== this.#position) return this.#notice()
    this.#options.troubles.report('feed', undefined)
    if (step.kind === 'step' && !step.torn) {
      if (timed || step.at !== this.#at) this.#timedBy = number
      this.#at = step.at
    }
    this.#lookAgain(step.pending === true)
    if (this.#stopped) return
    if (step.to !== this.#position) this.#pass(step, askedAt, generation)
    this.#assure()
  }

  #pass(step: Step | TooFar, askedAt: number, generation: number): void {
    this.#steps++
    this.#position = step.to
    if (step.kind === 'step') this.#observe(step, askedAt, () => this.#dispatch(step, generation))
    else this.#skip(step.moment)
    this.#tellWaiting(false)
  }

  /** For what was committed and could not be seen yet. */
  #lookAgain(isPending: boolean): void {
    if (!isPending) return void (this.#pendings = 0)
    this.#options.clock.after(Math.min(slowestPendingMs, pendingMs * 2 ** this.#pendings++), () => this.#notice())
  }

  #observe(step: Step, askedAt: number, feed: () => void): void {
    const { observer, clock } = this.#options
    const { to, changes, marks, at, canaryAt } = step
    const canaryMs = canaryAt === undefined ? null : Math.max(0, at - canaryAt)
    const observed = { to, changes: changes.length, marks, canaryMs, askedAt, readAt: clock.monotonic() }
    this.#watched = observer.reading(observed)
    feed()
    observer.stepped({ ...observed, fedAt: clock.monotonic() })
  }

  #dispatch(step: Step, generation: number): void {
    const { tables, limits, clock } = this.#options
    const routedAt = this.index.generation
    const told = this.#told(step)
    const routing = { hits: this.index.route(told.changes), routed: (spec: Spec) => this.index.has(spec, routedAt) }
    const frames = new StepFrames(told, routing, tables, limits)
    this.#ring.push({ frames, generation, changesAccess: this.#watch.remember(step) })
    for (const session of [...this.sessions]) this.#hand(session, step, frames, generation)
    if (!step.canary) return
    this.#lastCanaryAt = clock.monotonic()
    // Changes may be missing that nobody knows of: nobody is told to be current.
    if (this.#options.troubles.feeding) return
    for (const session of this.sessions) this.#tellCurrent(session, step.at)
  }

  /** The next sign of life may be seconds away, and until then its replica could not say that it is up to date. */
  #join(session: Session): void {
    this.#joined.add(session)
    this.#unsure.add(session)
    this.#assure()
    if (this.#unsure.has(session)) this.#notice()
  }

  /**
   * Tells sessions that they are current once a step has come that began after they did: it holds all that was
   * committed before their hello, also what another server took and answered.
   */
  #assure(): void {
    const at = this.#options.troubles.feeding ? null : this.#at
    for (const session of this.#unsure)
      if (session.state !== 'live') this.#unsure.delete(session)
      else if (at !== null) this.#tellCurrent(session, at)
  }

  /** Unless it came after the last step began that says so. One frame for all at the same position. */
  #tellCurrent(session: Session, at: number): void {
    if ((this.#cameAt.get(session) ?? 0) >= this.#timedBy) return
    const seq = this.#position
    if (this.#frontier?.seq !== seq || this.#frontier.at !== at)
      this.#frontier = { seq, at, frame: messageFrame({ type: 'frontier', seq, at }) }
    this.#unsure.delete(session)
    session.frontier(this.#frontier.frame)
  }

  /** What is told of a step, and kept for a while: not what was read only to decide about access. */
  #told(step: Step): Step {
    const follows = (channel: string): boolean => this.index.follows(channel)
    const changes = step.changes.filter(
      ({ everywhere, homes, formerHomes }) => everywhere || homes.some(follows) || formerHomes.some(follows),
    )
    return { ...step, changes, access: new Map() }
  }

  #hand(session: Session, step: Step, frames: StepFrames, generation: number): void {
    if (step.credentials.includes(session.principal.id)) session.credentialsChanged()
    const fed = session.state === 'live' && step.to > session.seq
    const complete = session.view.generation <= generation && (step.embeddings || !session.view.embeddings)
    const access = step.access.get(session.principal)
    if (access) session.applyAccess(access, step, fed && complete)
    if (!fed) return
    const isAssessed = !this.#joined.has(session) || session.accessOf >= this.#watch.changedAt
    if (complete && isAssessed) session.deliver(frames)
    else session.missed()
  }

  /**
   * A step too big for one batch: every session reads what concerns it, and its access, by itself. Nobody has read
   * whose credentials changed in it, so every session looks at its own.
   */
  #skip(moment: Moment): void {
    this.#watch.lostSight(moment)
    this.#ring.clear()
    for (const session of [...this.sessions]) {
      session.credentialsChanged()
      if (session.state === 'live') session.missed()
    }
  }

  /** After a failure the database may be another one, or an older state of this one. */
  async #checkEpoch(): Promise<void> {
    await this.history.look().catch(() => undefined)
  }

  /**
   * Goes on with the database as it is now. Sessions end and come back with their cursors, of which each is asked
   * whether it is of this history. Nothing is kept that was read before: neither positions nor moments need have gone
   * on from there.
   */
  #adopt({ epoch, head }: FeedState, ending: Ending): void {
    const { log, clock } = this.#options
    if (ending === 'goes on') log.info('Postgres was started anew; clients go on from where they are', { epoch })
    else if (ending === 'went back')
      log.error('The database lacks what replicas have seen; those start over', { epoch })
    else log.error('The database is another one than before; all replicas start over', { epoch })
    this.#position = head
    this.#tellWaiting(true)
    this.#ring.clear()
    this.#watch = new AccessWatch()
    this.#at = null
    // Signs of life up to the new position are not seen any more: the next one has its whole time again.
    if (this.#lastCanaryAt !== null) this.#lastCanaryAt = clock.monotonic()
    for (const [number, session] of [...this.sessions].entries())
      session.end(
        new TideError(
          ending === 'goes on' ? 'closed' : 'cursor_ahead',
          `The database was ${ending === 'goes on' ? 'started anew' : 'replaced'} while this session was open.`,
          { retryAfterMs: Math.min(number * comeBackMs, slowestComeBackMs) },
        ),
      )
  }
}
