import type { Clock } from '../../../lib/clock.ts'
import type { Random } from '../../../lib/random.ts'
import type { Seq } from '../../../protocol/seq.ts'
import type { SqlQuery } from '../../scope/sql-query.ts'
import { createSurvivingPool, type Database } from '../../db/db.ts'
import { Troubles, type Log } from '../../telemetry/telemetry.ts'
import type { ChangeSource, LogNews, RecentCommit, WalPlace } from '../change-source.ts'
import type { ForeignReason } from './commit-assembler.ts'
import { LogProgress } from './log-progress.ts'
import { LogReach, settleMs } from './log-reach.ts'
import { LogRole } from './log-role.ts'
import { SlotWatch } from './slot-watch.ts'
import type { GapCause } from './wal-setup.ts'
import { requireWal } from './wal-requirements.ts'

export interface WalSourceOptions {
  readonly database: Database
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly news?: LogNews | undefined
  readonly troubles?: Troubles
  /** Keys of open transactions that are held in memory; a commit that had to give some away is logged as one entry. */
  readonly openKeys?: number
  /** Changes were missed, and replicas start over. */
  readonly onGap?: (cause: GapCause) => void
  /** A message in the WAL was passed over, for it is not one of Tidewire's. */
  readonly onForeign?: (reason: ForeignReason) => void
}

const notifyChannel = 'tidewire_log'
/** On that channel: the writer of the log goes in order, and the slot is free. */
const slotFree = 'free'

/**
 * The log as logical replication writes it, after the commits. Of all servers on a database one reads the slot and
 * writes the log; the others follow it, and take the slot when its reader is gone (`log-role.ts`). Readers see a log
 * that is newer than their snapshot in parts and older in others: `settle` waits until it holds everything that the
 * snapshot sees (`log-reach.ts`).
 */
export function createWalSource(options: WalSourceOptions): ChangeSource {
  return new WalSource(options)
}

class WalSource implements ChangeSource {
  readonly logsAfterCommit = true
  readonly #database: Database
  readonly pool: ReturnType<typeof createSurvivingPool>
  readonly #progress: LogProgress
  readonly #role: LogRole
  readonly #reach: LogReach
  #stopListening: () => void = () => undefined

  constructor(options: WalSourceOptions) {
    const { database, clock, random, log, news } = options
    const { troubles = new Troubles(clock, log), openKeys = 10_000, onGap = () => undefined } = options
    const { onForeign = () => undefined } = options
    const { connection } = database
    const pool = createSurvivingPool({
      ...connection,
      max: 3,
      query_timeout: settleMs,
      application_name: 'tidewire capture',
      options: '-c synchronous_commit=local',
    })
    const isWriter = (): boolean => this.#role.stream !== undefined
    const slot = new SlotWatch({ pool, clock, log })
    const progress = new LogProgress({ clock, news, isWriter })
    this.#database = database
    this.pool = pool
    this.#progress = progress
    this.#role = new LogRole({
      ...{ connection, pool, clock, random, log, troubles, slot, progress, openKeys, onGap, onForeign },
    })
    this.#reach = new LogReach({ pool, clock, slot, progress, isWriter })
  }

  async start(onCommits: (newest?: Seq) => void): Promise<void> {
    await this.pool.query('select sync.ensure_epoch()')
    await requireWal(this.pool)
    this.#stopListening = this.#database.onNotify(({ channel, payload }) => {
      if (channel === notifyChannel) this.#heard(payload)
    })
    this.#progress.start(onCommits)
    await this.#database.listen(notifyChannel)
    await this.#role.start()
    this.#reach.start()
  }

  /** Who reads the WAL hears of it within the millisecond, and knows then what it is. */
  wake(): void {
    if (!this.#role.stream) this.#progress.wake()
  }

  inspect(): Promise<boolean> {
    return this.#role.inspect()
  }

  get role(): 'writer' | 'follower' {
    return this.#role.stream ? 'writer' : 'follower'
  }

  async retire(): Promise<void> {
    if (await this.#role.retire()) await this.pool.query('select pg_notify($1, $2)', [notifyChannel, slotFree])
  }

  async settle(_snapshot: SqlQuery, place: WalPlace): Promise<SqlQuery> {
    await this.#reach.reach(place)
    return this.#reach.query
  }

  recent(from: Seq, epoch: string): readonly RecentCommit[] | undefined {
    return this.#role.stream?.recent(from, epoch)
  }

  head(): Promise<Seq> {
    return this.#reach.head()
  }

  async stop(): Promise<void> {
    if (this.pool.ending) return
    this.#stopListening()
    this.#progress.stop()
    this.#reach.stop()
    await this.#role.stop()
    await this.pool.end()
  }

  /** Whoever logs in to the database can NOTIFY: what it says is a reason to look, no more. */
  #heard(payload: string): void {
    if (this.#role.stream) return
    if (payload === slotFree) this.#role.slotIsFree()
    else this.#progress.hear(payload)
  }
}
