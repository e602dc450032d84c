import pg from 'pg'
import { backoffDelay, type BackoffPolicy } from '../../../lib/backoff.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { Random } from '../../../lib/random.ts'
import { TideError } from '../../../protocol/error.ts'
import { findBlocker } from '../../db/db.ts'
import { errorText, type Log, type Troubles } from '../../telemetry/telemetry.ts'
import { captureNames } from './capture-names.ts'
import type { ForeignReason } from './commit-assembler.ts'
import type { LogProgress } from './log-progress.ts'
import { openLogStream, type LogStream } from './log-stream.ts'
import { restTriggers } from './resting-triggers.ts'
import { blockedTrouble, SetupWatch } from './setup-watch.ts'
import type { SlotWatch } from './slot-watch.ts'
import { UnreadableStream } from './unreadable-stream.ts'
import { toTrouble } from './wal-requirements.ts'
import { setUpCapture, type GapCause } from './wal-setup.ts'

export interface LogRoleOptions {
  readonly connection: pg.ClientConfig
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly troubles: Troubles
  readonly slot: Pick<SlotWatch, 'mayBeTaken'>
  readonly progress: LogProgress
  /** Keys of open transactions that are held in memory. */
  readonly openKeys: number
  /** Changes were missed, and replicas start over. */
  readonly onGap: (cause: GapCause) => void
  /** A message in the WAL was passed over. */
  readonly onForeign: (reason: ForeignReason) => void
}

type State =
  /** Sets up capture and takes the slot, or waits a while after that has failed. */
  | { readonly kind: 'asking' }
  /** Another server reads the slot: this one takes it when that reader is gone. */
  | { readonly kind: 'following' }
  | { readonly kind: 'writing'; readonly stream: LogStream }
  /** Leaves the slot to other servers for good, and follows them. */
  | { readonly kind: 'retired' }
  | { readonly kind: 'stopped' }

const retry: BackoffPolicy = { minMs: 100, maxMs: 5000 }
/**
 * How often a server that does not read the slot looks whether it may. Spread, so that not all ask at the same moment.
 */
const watchMs = 500
/** So often the first start is told that it waits for somebody, every 5 s, before the server listens all the same. */
const startLooks = 3
const slotInUse = '55006'
/** SQLSTATEs of connections that end, and of a term that does. */
const passing = /^(08|57P|TW)/
/** At most so many tables stand in a message. */
const shown = 5

/**
 * Tables that are not published as they were when capture was set up; one that is gone altogether is not capture's to
 * mend.
 */
const distortedSql = `
with now as materialized (select sync.publication_state($1) as state)
select known.name from sync.settings, now, jsonb_each_text(published) as known(name, state)
where now.state ->> known.name is distinct from known.state
  and exists (select from sync.captured_tables($1) c where c.name = known.name)
order by 1`

/**
 * Which part this server has in the log: of all servers on a database one reads the slot and writes the log, the others
 * wait for the slot.
 */
export class LogRole {
  readonly #options: LogRoleOptions
  readonly #setup: SetupWatch
  readonly #holder: string
  readonly #unreadable = new UnreadableStream()
  /** The first start waits for it: this server writes, another one does, or somebody is in the way for long. */
  readonly #ready = Promise.withResolvers<void>()
  #state: State = { kind: 'asking' }
  #publication: string | undefined
  #sawDistorted = false
  /**
   * The last stream ended because the log could not be written: that it was opened again does not say that it can be.
   */
  #isUnproven = false
  #running: Promise<void> | undefined
  #endPause: () => void = () => undefined

  constructor(options: LogRoleOptions) {
    const { pool, clock, random } = options
    this.#options = options
    this.#setup = new SetupWatch({ pool, clock, onBlocked: (trouble, looks) => this.#blocked(trouble, looks) })
    this.#holder = Buffer.from(random.bytes(8)).toString('hex')
    this.#ready.promise.catch(() => undefined)
  }

  /** While this server writes the log. */
  get stream(): LogStream | undefined {
    const state = this.#state
    return state.kind === 'writing' ? state.stream : undefined
  }

  async start(): Promise<void> {
    this.#running = this.#run()
    try {
      await this.#ready.promise
    } catch (error) {
      this.#state = { kind: 'stopped' }
      this.#endPause()
      throw error
    }
  }

  /** The slot's reader went in order: who waits for the slot asks at once. */
  slotIsFree(): void {
    if (this.#is('following')) this.#endPause()
  }

  /**
   * False: a table is not published as it was, so that changes may be missed. Who writes the log ends its stream then,
   * and the next one is set up anew; who follows says so until that has been done. Who writes also lets triggers rest
   * that somebody has woken.
   */
  async inspect(): Promise<boolean> {
    const { pool, log, troubles } = this.#options
    const values = [(this.#publication ??= await this.#publicationName())]
    const { rows } = await pool.query<{ name: string }>({ name: 'distorted', text: distortedSql, values })
    if (rows.length > 0 && this.stream) await this.stream.close()
    else if (rows.length > 0) troubles.report('capture', distorted(rows.map(({ name }) => name)))
    else if (this.#sawDistorted) troubles.report('capture', undefined)
    this.#sawDistorted = rows.length > 0
    if (rows.length > 0) return false
    const set = this.stream ? await restTriggers(pool, this.#publication) : []
    if (set.length > 0) log.info('Triggers of tables that are captured from the WAL rest again', { tables: set })
    return true
  }

  async #publicationName(): Promise<string> {
    const { rows } = await this.#options.pool.query<{ name: string }>('select current_database() as name')
    return captureNames(rows[0]?.name ?? '').publication
  }

  /** Leaves the slot to others. True: it was this server's until now. */
  async retire(): Promise<boolean> {
    const { stream } = this
    if (this.#is('stopped')) return false
    this.#state = { kind: 'retired' }
    await this.#setup.cancel()
    await stream?.close()
    return stream !== undefined
  }

  async stop(): Promise<void> {
    const { stream } = this
    this.#state = { kind: 'stopped' }
    this.#endPause()
    await this.#setup.cancel()
    await stream?.close()
    await this.#running
  }

  /** As a function, for the state is another one after each wait. */
  #is(...kinds: readonly State['kind'][]): boolean {
    return kinds.includes(this.#state.kind)
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    for (let attempt = 0; !this.#is('stopped');) {
      if (this.#is('following', 'retired')) await this.#untilMine()
      if (this.#is('stopped')) return
      const since = clock.monotonic()
      const wait = await this.#serve(attempt).catch((error: unknown) => this.#failed(error, attempt))
      attempt = clock.monotonic() - since > retry.maxMs ? 0 : attempt + 1
      if (!this.#is('stopped')) await this.#pause(wait)
    }
  }

  /** Until the slot is free, or its reader has hung and was cut off. */
  async #untilMine(): Promise<void> {
    const { random, slot } = this.#options
    while (!this.#is('stopped')) {
      await this.#pause(watchMs * (0.5 + random.next()))
      if (this.#is('stopped')) return
      if (!this.#is('retired') && (await slot.mayBeTaken().catch(() => false))) return
    }
  }

  /** One time at the slot: until the stream ends, or at once when another server reads it. Returns how long to wait. */
  async #serve(attempt: number): Promise<number> {
    const { connection, clock, random, log, troubles, progress, openKeys, onGap, onForeign } = this.#options
    const unreadable = this.#unreadable.verdict()
    const names = await setUpCapture(connection, log, this.#setup, { unreadable, onGap })
    const stream = await openLogStream({
      connection,
      clock,
      names,
      holder: this.#holder,
      watch: this.#setup,
      openKeys,
      onForeign,
      onRun: (run) => progress.enter(run),
      onPosition: (end, run) => {
        this.#proven()
        progress.pass(end, run)
      },
      onCommit: (seq) => progress.wake(seq),
      onLogged: (newest) => progress.logged(newest),
    })
    if (this.#is('retired', 'stopped')) {
      await stream.close()
      return 0
    }
    this.#state = { kind: 'writing', stream }
    this.#ready.resolve()
    if (!this.#isUnproven) troubles.report('capture', undefined)
    log.info('Writing the change log', { slot: names.slot })
    // The epoch may be another one.
    progress.wake()
    const reason = await stream.ended
    const trouble = await this.#troubleOf(reason, stream)
    if (trouble && this.#is('writing')) {
      this.#isUnproven = true
      troubles.report('capture', trouble)
    }
    await stream.close()
    this.#unreadable.saw(reason, progress.place)
    if (this.#is('writing')) {
      this.#state = { kind: 'asking' }
      const { code, remedy } = trouble ?? toTrouble(reason)
      log.error('The stream of changes ended; opening it again', { code, error: errorText(reason), remedy })
    }
    return backoffDelay(retry, attempt, random)
  }

  /** Undefined: the connection ended, or the term. What comes of that shows when the stream is opened again. */
  async #troubleOf(reason: Error, { pid }: LogStream): Promise<TideError | undefined> {
    if (reason instanceof pg.DatabaseError) return passing.test(reason.code ?? '08') ? undefined : toTrouble(reason)
    if (!(reason instanceof TideError)) return undefined
    const blocker = await findBlocker(this.#options.pool, pid).catch(() => undefined)
    return blocker ? blockedTrouble(blocker) : reason
  }

  /** Something is durable in the log. */
  #proven(): void {
    if (!this.#isUnproven) return
    this.#isUnproven = false
    this.#options.troubles.report('capture', undefined)
  }

  #failed(error: unknown, attempt: number): number {
    const { log, troubles, progress, random } = this.#options
    if (this.#is('writing')) this.#state = { kind: 'asking' }
    if (codeOf(error) === slotInUse) {
      if (this.#is('asking')) {
        log.info('Another server writes the change log; following it')
        this.#state = { kind: 'following' }
      }
      this.#isUnproven = false
      troubles.report('capture', undefined)
      this.#ready.resolve()
      return 0
    }
    this.#ready.reject(error)
    this.#unreadable.saw(error, progress.place)
    if (!this.#is('retired', 'stopped')) troubles.report('capture', toTrouble(error))
    return backoffDelay(retry, attempt, random)
  }

  /**
   * The first start waits a while, for it may be over soon; then the server listens, so that it can be asked what it
   * waits for.
   */
  #blocked(trouble: TideError, looks: number): void {
    if (this.#is('retired', 'stopped')) return
    this.#options.troubles.report('capture', trouble)
    if (looks >= startLooks) this.#ready.resolve()
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve)
      this.#endPause = () => {
        cancel()
        resolve()
      }
    })
  }
}

function distorted(tables: readonly string[]): TideError {
  return new TideError(
    'capture_unavailable',
    `Changes may be missed: not published as they were: ${tables.slice(0, shown).join(', ')}${tables.length > shown ? `, and ${tables.length - shown} more` : ''}.`,
    { remedy: 'Nothing: the server that writes the change log notices within five seconds, and mends it.' },
  )
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
