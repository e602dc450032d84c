import pg from 'pg'
import type { CancelTimer, Clock } from '../../../lib/clock.ts'
import { TideError } from '../../../protocol/error.ts'
import { endBlocker, findBlocker, type Blocker } from '../../db/db.ts'

export interface SetupWatchOptions {
  readonly pool: Pick<pg.Pool, 'query'>
  readonly clock: Clock
  /** It waits for somebody; told again while it does. `looks`: how often it has been told. */
  readonly onBlocked: (trouble: TideError, looks: number) => void
}

const lookMs = 5000

/**
 * Watches a connection that sets up capture. A new slot waits for all transactions that are writing at that moment, in
 * whichever database of the cluster, without a limit and without a word: so this says who it is, and how to end it.
 */
export class SetupWatch {
  readonly #options: SetupWatchOptions
  #pid: number | undefined
  #isCancelled = false

  constructor(options: SetupWatchOptions) {
    this.#options = options
  }

  /**
   * The connection of a process of Postgres begins. Returns how to say that it has ended. Throws `closed` when it need
   * not begin.
   */
  begin(pid: number): () => void {
    if (this.#isCancelled) throw new TideError('closed', 'Capture is not set up any more.')
    this.#pid = pid
    let cancel: CancelTimer = () => undefined
    let looks = 0
    const look = async (): Promise<void> => {
      const blocker = await findBlocker(this.#options.pool, pid).catch(() => undefined)
      if (this.#pid !== pid) return
      if (blocker) this.#options.onBlocked(blockedTrouble(blocker), ++looks)
      cancel = this.#options.clock.after(lookMs, () => void look())
    }
    cancel = this.#options.clock.after(lookMs, () => void look())
    return () => {
      this.#pid = undefined
      cancel()
    }
  }

  /** For good: what it does ends with an error, so that nobody waits for it. */
  async cancel(): Promise<void> {
    this.#isCancelled = true
    if (this.#pid !== undefined)
      await this.#options.pool.query('select pg_cancel_backend($1)', [this.#pid]).catch(() => undefined)
  }
}

/** Capture stands still for somebody's transaction: whose, and how to end it. */
export function blockedTrouble(blocker: Blocker): TideError {
  const { pid, gid, database, since } = blocker
  const where = `in database ${database ?? 'unknown'}, since ${since ?? 'unknown'}`
  const who = gid === null ? `that of process ${pid}` : `the prepared transaction ${pg.escapeLiteral(gid)}`
  return new TideError('capture_unavailable', `Capture waits for a transaction to end: ${who}, ${where}.`, {
    remedy: endBlocker(blocker),
  })
}
