import type { CancelTimer, Clock } from '../../lib/clock.ts'
import { parseSeq, toSeq, zeroSeq, type Seq } from '../../protocol/seq.ts'
import type { Database } from '../db/db.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'
import type { ChangeSource, LogNews } from './change-source.ts'
import { endWalCapture } from './wal/wal-removal.ts'

/**
 * Milliseconds between looks at the log: `busyMs` until `calmMs` after the last commit, then doubled up to `idleMs`.
 */
export interface PollPolicy {
  readonly busyMs: number
  readonly calmMs: number
  readonly idleMs: number
}

export interface TriggerSourceOptions {
  readonly database: Database
  readonly clock: Clock
  readonly log: Log
  readonly poll?: PollPolicy
  readonly news?: LogNews | undefined
}

/** Other servers are told of commits at most once in this time. Milliseconds. */
const newsMs = 1
const notifyChannel = 'sync_changes'
const headSql = 'select coalesce(max(seq), 0)::text as head from sync_changes'

/**
 * The log as the triggers write it: inside the users' own transactions, so a snapshot holds the log of exactly the
 * commits it sees, and `settle` has nothing to wait for. The embedded database says when it commits (it has one writer,
 * so a NOTIFY costs nothing); elsewhere the log is looked at, since NOTIFY in every transaction would let commits queue
 * for one lock.
 */
export function createTriggerSource({
  database,
  clock,
  log,
  news,
  poll = { busyMs: 3, calmMs: 1000, idleMs: 100 },
}: TriggerSourceOptions): ChangeSource {
  let onCommits: (newest?: Seq) => void = () => undefined
  let stopNotifications: () => void = () => undefined
  let stopNews: () => void = () => undefined
  let telling = false
  let cancelTimer: CancelTimer = () => undefined
  let looking = false
  let stopped = false
  let pause = poll.busyMs
  let seen = zeroSeq
  let busyUntil = 0

  async function head(): Promise<Seq> {
    const { rows } = await database.pool.query<{ head: string }>({ name: 'log_head', text: headSql })
    return toSeq(rows[0]?.head ?? 0)
  }

  async function look(): Promise<void> {
    if (looking || stopped) return
    looking = true
    try {
      const newest = await head()
      if (newest > seen) busyUntil = clock.monotonic() + poll.calmMs
      pause = clock.monotonic() < busyUntil ? poll.busyMs : Math.min(poll.idleMs, pause * 2)
      if (newest > seen) onCommits(newest)
      // A backup was put in its place.
      if (newest < seen) onCommits()
      seen = newest
    } catch (error) {
      pause = poll.idleMs
      log.debug('The change log could not be looked at', { error: errorText(error) })
    } finally {
      looking = false
      schedule()
    }
  }

  function schedule(): void {
    cancelTimer()
    if (!stopped) cancelTimer = clock.after(pause, () => void look())
  }

  function tellNews(): void {
    if (!news || telling) return
    telling = true
    clock.after(newsMs, () => {
      telling = false
      if (!stopped) news.tell('')
    })
  }

  /** Soon for everyone, and the look says whether there is anything. */
  function lookNow(): void {
    pause = poll.busyMs
    void look()
  }

  return {
    async start(listener) {
      onCommits = listener
      // A database that was captured from the WAL before comes back to triggers; refused while a server reads the slot.
      const { rows } = await database.pool.query<{ capture: string }>('select capture from sync.settings')
      if (rows[0]?.capture === 'wal') await endWalCapture(database.connection, clock)
      await database.pool.query('select sync.ensure_epoch()')
      if (!database.embedded || database.attached) {
        seen = await head()
        schedule()
        if (news) stopNews = news.hear(lookNow)
        return
      }
      await database.pool.query('update sync.settings set notify = true where not notify')
      // An empty channel name: the connection was lost for a while, and some may have been missed.
      stopNotifications = database.onNotify(({ channel, payload }) => {
        if (channel === notifyChannel) onCommits(parseSeq(payload))
        else if (channel === '') onCommits()
      })
      await database.listen(notifyChannel)
    },
    wake() {
      if (stopped) return
      pause = poll.busyMs
      tellNews()
      onCommits()
    },
    settle: async (snapshot) => snapshot,
    head,
    async stop() {
      stopped = true
      stopNotifications()
      stopNews()
      cancelTimer()
    },
  }
}
