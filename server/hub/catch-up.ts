import type { Clock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import { messageFrame } from '../../protocol/parse.ts'
import type { Seq } from '../../protocol/seq.ts'
import { concernsAll, troubleOf } from '../db/db.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'
import type { AdvanceRequest, Change, Feed, Moment, Step } from './feed.ts'
import { foldSteps } from './fold-steps.ts'
import type { ReadPlan } from './followed.ts'
import type { HubLimits } from './limits.ts'
import type { Ring } from './ring.ts'
import { ChannelIndex, type Hit, type View } from './route.ts'
import type { Session } from './session.ts'
import { Slots } from '../../lib/slots.ts'
import type { DownTables, Spec } from './spec.ts'
import { StepFrames } from './step-frames.ts'

export interface CatchUpOptions {
  readonly feed: Feed
  readonly ring: Ring
  readonly tables: DownTables
  readonly limits: HubLimits
  readonly clock: Clock
  readonly log: Log
  /** Where the live loop stands. */
  readonly position: () => Seq
  /** Server time of the position; null: not known yet. */
  readonly at: () => number | null
  /** The newest snapshot that held a possible loss of access. */
  readonly accessChangedAt: () => Moment
  /** Until the live loop has looked at whose access and credentials changed up to here; undefined: it has. */
  readonly passed: (seq: Seq) => Promise<void> | undefined
  /** A read was of another epoch than its session: finds out what that means for all sessions. */
  readonly otherEpoch: () => Promise<void>
  /** The session goes on with the live loop. */
  readonly joined: (session: Session) => void
  /** The session cannot be fed from where it stands. */
  readonly tooFar: (session: Session) => void
  /** A read failed for want of the database: the live loop finds out whether it does for all. */
  readonly doubted: () => void
}

/** Pauses between tries after failures. Milliseconds. */
const [retryMs, slowestRetryMs] = [500, 8000]
/** Tries of a session whose reads fail while the database answers others. */
const mostFailures = 6
/** A session that was given up may try elsewhere, and here after so long. Milliseconds. */
const givenUpMs = 10_000
/** Until a snapshot is hoped to see all commits before those that it sees. */
const [tornMs, slowestTornMs] = [5, 500]

/**
 * Feeds sessions that are behind, each from its own position, until they have reached the live loop: from the ring
 * where it holds all they need, else by a read of their own. Reads are bounded per server; nobody waits for a slow
 * session.
 */
export class CatchUp {
  readonly #options: CatchUpOptions
  readonly #slots: Slots
  readonly #fed = new Set<Session>()
  #folded: { readonly view: View; readonly name: string; readonly frames: StepFrames } | undefined
  #reads = 0

  constructor(options: CatchUpOptions) {
    this.#options = options
    this.#slots = new Slots(options.limits.concurrentCatchUps)
  }

  /** Reads made for single sessions. */
  get reads(): number {
    return this.#reads
  }

  /** Begins to feed a session unless that is going on. */
  feed(session: Session): void {
    if (this.#fed.has(session)) return
    this.#fed.add(session)
    void this.#feed(session)
  }

  async #feed(session: Session): Promise<void> {
    let [torn, failures] = [0, 0]
    while (session.state === 'behind') {
      try {
        if (this.#share(session)) continue
        const isRead = await this.#slots.run(() => this.#read(session))
        torn = isRead ? 0 : torn + 1
        failures = 0
        if (torn > 0) await this.#pause(Math.min(slowestTornMs, tornMs * 2 ** Math.min(torn, 10)))
      } catch (error) {
        this.#failed(session, error, ++failures)
        if (!hasEnded(session)) await this.#pause(Math.min(slowestRetryMs, retryMs * 2 ** Math.min(failures - 1, 10)))
      }
    }
    this.#fed.delete(session)
  }

  /**
   * A database that is away is the live loop's to tell, and tried for as long as it takes. All else concerns this
   * session alone.
   */
  #failed(session: Session, error: unknown, failures: number): void {
    if (hasEnded(session)) return
    const trouble = troubleOf(error)
    if (concernsAll(trouble)) return this.#options.doubted()
    const details = { device: session.principal.deviceId, code: trouble.code, error: errorText(error) }
    this.#options.log.error('A session could not be caught up; trying again', details)
    const told = trouble.code === 'internal' ? new TideError('internal', 'The server failed at a read.') : trouble
    // What is counted may be what takes so long: without it, the session may be quick.
    if (session.verification) return session.answer(session.verification, (ref) => refusalFrame(told, ref))
    if (failures < mostFailures) return
    session.end(new TideError(told.code, told.message, { retryAfterMs: givenUpMs, cause: error }))
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => void this.#options.clock.after(ms, resolve))
  }

  /** Does what can be done without reading. False: a read is needed. */
  #share(session: Session): boolean {
    // The live loop looks at the access of those who follow something; before that, a loss may have gone unnoticed
    // (SPEC I9).
    if (session.accessOf < this.#options.accessChangedAt()) return false
    if (!session.sharesSteps) return this.#shareFold(session)
    if (session.seq >= this.#options.position()) {
      session.joinLive()
      this.#options.joined(session)
      return true
    }
    const { generation, embeddings } = session.view
    const steps = this.#options.ring.after(session.seq, generation, embeddings)
    // Its access is that of now. In between it may have had none, and must not be told of that time (SPEC I9).
    if (!steps || steps.some(({ changesAccess }) => changesAccess)) return false
    for (const { frames } of steps) if (session.state === 'behind') session.deliver(frames)
    return true
  }

  /**
   * What a session with subscriptions of several positions needs, from the ring: its steps as one. Agents that start
   * together follow the same from the same first page, so that one fold serves them all.
   */
  #shareFold(session: Session): boolean {
    const position = this.#options.position()
    if (session.verification || session.seq > position) return false
    const plan = session.plan()
    const floors = [...plan.floors.values()]
    if (plan.reach > position || floors.some((floor) => floor > position)) return false
    const { view } = session
    const name = `${plan.from} ${position} ${floors.join()}`
    if (this.#folded?.view !== view || this.#folded.name !== name) {
      const step = this.#fold(plan.from, position, view)
      if (!step) return false
      const { tables, limits } = this.#options
      this.#folded = { view, name, frames: framesOf(step, plan, tables, limits) }
    }
    session.deliverOwn(this.#folded.frames, plan, undefined)
    return true
  }

  /** Undefined: the ring does not hold all of it. */
  #fold(from: Seq, position: Seq, { generation, embeddings }: View): Step | undefined {
    const at = this.#options.at()
    if (from === position && at !== null) return emptyStep(position, at)
    const steps = this.#options.ring.after(from, generation, embeddings)
    return steps && foldSteps(steps.map(({ frames }) => frames.step))
  }

  /** False: the snapshot was torn, and has to be taken again. */
  async #read(session: Session): Promise<boolean> {
    // It may have waited long for its turn.
    if (session.state !== 'behind') return true
    const { feed, tables, limits } = this.#options
    const plan = session.plan()
    const { verification } = session
    this.#reads++
    const step = await feed.advance(plan.from, {
      organizations: new Set([session.principal.organizationId]),
      ...followsOf(plan),
      watchAccess: false,
      embeddings: plan.embeddings,
      principals: () => [session.principal],
      ...(verification ? { verify: verification.followed.spec.selection } : {}),
    })
    if (step.epoch !== undefined && step.epoch !== session.epoch) await this.#options.otherEpoch()
    if (hasEnded(session)) return true
    if (step.epoch !== undefined && step.epoch !== session.epoch)
      throw new TideError('timeout', 'The epoch changed while the log was being read.')
    await this.#options.passed(step.to)
    // Its token is being looked at: what was read may be of after its end.
    if (session.state !== 'behind') return true
    if (step.kind === 'too_far') {
      this.#options.tooFar(session)
      session.end(
        new TideError(
          'cursor_too_old',
          `The replica stands at ${plan.from}; more has changed up to ${step.to} than is sent as one batch.`,
        ),
      )
      return true
    }
    const access = step.access.get(session.principal)
    if (access) session.applyAccess(access, step, step.torn !== true)
    if (step.torn) return false
    session.deliverOwn(framesOf(step, plan, tables, limits), plan, verification)
    return true
  }
}

function refusalFrame(error: TideError, ref: number): Uint8Array {
  return messageFrame({ type: 'error', ref, fatal: false, error: error.toBody() })
}

function hasEnded({ state }: Session): boolean {
  return state === 'ended'
}

function emptyStep(position: Seq, at: number): Step {
  return {
    kind: 'step',
    from: position,
    to: position,
    at,
    moment: Number.NEGATIVE_INFINITY,
    embeddings: true,
    changes: [],
    bytes: 0,
    departures: [],
    marks: [],
    resets: [],
    credentials: [],
    canary: false,
    access: new Map(),
    verified: null,
  }
}

function followsOf({ followed }: ReadPlan): Pick<AdvanceRequest, 'follows' | 'followsTable'> {
  const specs = Map.groupBy(
    followed.map(({ spec }) => spec),
    ({ selection }) => selection.channel,
  )
  return {
    follows: (channel) => specs.has(channel),
    followsTable: (channel, table) => specs.get(channel)?.some(({ tables }) => tables.has(table)) ?? false,
  }
}

/**
 * Subscriptions may stand at different positions: each is told only what is new to it. But what is new to one is told
 * for all, for a row that left one and is known to another must not be deleted (SPEC I5). Of a table that was truncated
 * all rows go, so those that came since are told to all.
 */
function framesOf(step: Step, plan: ReadPlan, tables: DownTables, limits: HubLimits): StepFrames {
  const index = new ChannelIndex()
  for (const spec of plan.floors.keys()) index.add(spec)
  const routed = index.route(step.changes)
  const [fresh, resets] = [new Set<Change>(), new Set(step.resets)]
  for (const [spec, hits] of routed) {
    const floor = plan.floors.get(spec) ?? step.from
    for (const { change } of hits) if (change.seq > floor || resets.has(change.table)) fresh.add(change)
  }
  const told = [...routed].map(([spec, hits]) => [spec, hits.filter(({ change }) => fresh.has(change))] as const)
  return new StepFrames(step, { hits: new Map<Spec, readonly Hit[]>(told), routed: () => true }, tables, limits)
}
