import type pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import { endBlocker, findBlocker, nameBlocker, type Blocker } from './blockers.ts'

/** Whoever comes after one that waits for a table waits too, readers included: so the wait is short. */
const lockWaitMs = 3000
const usualTries = 20
const pauseMs = 500
/** How often it is looked whom a transaction waits for. */
const lookMs = 500

/** First in a transaction that changes tables; answers one row. */
const beginSql = `select set_config('lock_timeout', '${lockWaitMs}ms', true), pg_backend_pid() as pid`

/** Runs `beginSql` within the transaction. */
export type BeginPatiently = (run: (text: string) => Promise<readonly { readonly pid: number }[]>) => Promise<void>

type Asked = Pick<pg.Pool | pg.Client, 'query'>

export interface LockPatience {
  /** What is being done, as the subject of a sentence. */
  readonly what: string
  /**
   * A connection beside that of the transaction, which is asked whom it waits for; undefined: the database has no other
   * backend.
   */
  readonly beside: Asked | undefined
  /** Hears whom a try waited for in vain. */
  readonly onWait?: ((text: string) => void) | undefined
  /** 20 when absent. */
  readonly tries?: number
}

/**
 * Runs `work`, one transaction that calls `begin` first, again when it waited for a lock in vain or met a deadlock:
 * others have their turn between two tries. Throws `table_locked` after the last.
 */
export async function patiently<T>(
  { what, beside, onWait = () => undefined, tries = usualTries }: LockPatience,
  work: (begin: BeginPatiently) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    let watch: Watch | undefined
    try {
      return await work(async (run) => {
        const [row] = await run(beginSql)
        if (beside && row) watch = watchBlocker(beside, row.pid)
      })
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code !== '55P03' && code !== '40P01') throw error
      const blocker = watch?.newest()
      const whom = blocker ? nameBlocker(blocker) : 'another transaction'
      if (attempt === tries)
        throw toLocked(`${what} has waited ${tries} times for a lock that ${whom} holds.`, blocker, error)
      onWait(`${what} waits for a lock that ${whom} holds: try ${attempt} of ${tries}`)
    } finally {
      watch?.stop()
    }
    await new Promise<void>((resolve) => void systemClock.after(pauseMs, resolve))
  }
}

function toLocked(message: string, blocker: Blocker | undefined, cause: unknown): TideError {
  const remedy = blocker
    ? `${endBlocker(blocker)} Then start again.`
    : 'Look in pg_stat_activity for transactions that are left open, end them, and start again.'
  return new TideError('table_locked', message, {
    cause,
    remedy,
  })
}

interface Watch {
  /** Whom it was waiting for at the last look that found somebody. */
  readonly newest: () => Blocker | undefined
  readonly stop: () => void
}

/** Looks now and then whom a process of Postgres waits for: after it has given up nobody can tell. */
function watchBlocker(beside: Asked, pid: number): Watch {
  let newest: Blocker | undefined
  let isStopped = false
  let cancel = (): void => undefined
  const look = async (): Promise<void> => {
    const found = await findBlocker(beside, pid).catch(() => undefined)
    if (isStopped) return
    newest = found ?? newest
    cancel = systemClock.after(lookMs, () => void look())
  }
  cancel = systemClock.after(lookMs, () => void look())
  return {
    newest: () => newest,
    stop() {
      isStopped = true
      cancel()
    },
  }
}
