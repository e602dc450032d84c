import { DatabaseError, type Pool, type PoolClient, type QueryResult } from 'pg'
import { backoffDelay } from '../../lib/backoff.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import { errorText } from '../telemetry/telemetry.ts'

/**
 * The database is away, or asked too often to try again. Nothing is wrong with what was asked: it may be asked again.
 */
export class DatabaseUnavailableError extends Error {
  override readonly name = 'DatabaseUnavailableError'
}

/** The commit itself failed, and would fail again; the cause says why. */
export class CommitFailedError extends Error {
  override readonly name = 'CommitFailedError'
  readonly refusal: DatabaseError

  constructor(refusal: DatabaseError) {
    super(`The commit failed: ${refusal.message}`, { cause: refusal })
    this.refusal = refusal
  }
}

/** What must hold in the database where a transaction begins. */
export interface TransactionCondition {
  /** Answers a row when it holds. It is read by this login, in the message that begins the transaction. */
  readonly sql: string
  /** What is thrown when not. */
  readonly broken: () => TideError
}

export interface TransactionOptions {
  readonly pool: Pool
  readonly clock: Clock
  readonly random: Random
  /** Further errors of the work after which the whole may simply be run again. */
  readonly retryAfter?: (error: unknown) => boolean
  /**
   * Under the role `app_rw` where this login may take it, so that the database refuses what is of another organization
   * even where a rule here has a hole.
   */
  readonly asWriter?: boolean
  readonly condition?: TransactionCondition | undefined
  /** Nothing may be written; what a read replica of Postgres takes. */
  readonly readOnly?: boolean
  /**
   * A statement that takes longer is stopped, and nothing of the transaction stays: for what clients cause. Absent:
   * none is.
   */
  readonly statementTimeoutMs?: number | undefined
  /** Default: read committed. */
  readonly isolation?: 'repeatable read' | 'serializable' | undefined
  /** Ends the transaction: no further attempt, no commit, and the statement under way is cancelled by `cancel`. */
  readonly signal?: AbortSignal | undefined
  /** Cancels what the backend of this process id is doing. Absent: a statement under way is waited for. */
  readonly cancel?: ((backend: number) => Promise<void>) | undefined
}

export interface Transaction {
  readonly client: PoolClient
  /** No other attempt follows this one. */
  readonly isLastAttempt: boolean
}

/** Settings `app.*` of a transaction by name, which triggers, policies and marks read. */
export type TransactionSettings = Readonly<Record<`app.${string}`, string>>

/** Retries after deadlocks, serialization failures and lost connections, with their pauses. */
const retries = 3
/**
 * How long a statement waits for a lock that another transaction holds. One that somebody leaves open would otherwise
 * keep all who need its row, each with a connection, until nobody else gets one.
 */
const lockWaitMs = 3000
const backoff = { minMs: 20, maxMs: 500 }

/**
 * Runs `work` in one transaction that carries the settings, commits when it returns and rolls back when it throws. Runs
 * it again after a deadlock, a serialization failure or a lost connection, so `work` keeps nothing outside. Throws what
 * `work` threw, what is thrown when the condition does not hold, the reason of the signal, `CommitFailedError`,
 * `DatabaseUnavailableError`, or `timeout` where another transaction held a lock for longer than 3 s, or a statement
 * took longer than it may.
 */
export async function inTransaction<T>(
  options: TransactionOptions,
  settings: TransactionSettings,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const { clock, random, signal, retryAfter = () => false } = options
  for (let attempt = 0; ; attempt++) {
    const isLastAttempt = attempt === retries
    signal?.throwIfAborted()
    try {
      return await once(options, settings, (client) => work({ client, isLastAttempt }))
    } catch (error) {
      signal?.throwIfAborted()
      // Not tried again here: whoever asks waits without a connection.
      if (isLocked(error)) throw toLocked(error)
      if (isStopped(error)) throw toStopped(error, options.statementTimeoutMs)
      if (!(retryAfter(error) || isTransient(error))) throw error
      if (isLastAttempt)
        throw new DatabaseUnavailableError(`The database failed ${retries + 1} times: ${errorText(error)}`, {
          cause: error,
        })
    }
    await pause(clock, backoffDelay(backoff, attempt, random), signal)
  }
}

async function once<T>(
  options: TransactionOptions,
  settings: TransactionSettings,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const { pool, condition, signal, cancel } = options
  const client = await pool.connect()
  // A connection that breaks says so twice: to the query that waits, and as an event that would end the process.
  client.on('error', ignore)
  let cancelling: Promise<void> | undefined
  let backend = 0
  const abort = (): void => {
    if (backend !== 0) cancelling = cancel?.(backend).catch(ignore)
  }
  signal?.addEventListener('abort', abort, { once: true })
  // Whatever was to be cancelled must not be what the next user of the connection does.
  const settled = async (): Promise<void> => {
    signal?.removeEventListener('abort', abort)
    await cancelling
  }
  try {
    // Several statements have several results.
    const begun: unknown = await client.query(beginSql(settings, options))
    if (condition && (begun as readonly QueryResult[])[1]?.rowCount !== 1) throw condition.broken()
    if (signal && cancel) backend = await backendOf(client)
    signal?.throwIfAborted()
    const result = await work(client)
    await settled()
    signal?.throwIfAborted()
    await commit(client)
    release(client, false)
    return result
  } catch (error) {
    await settled()
    // A connection that cannot roll back is of no use to anyone.
    await client.query('rollback').then(
      () => release(client, false),
      () => release(client, true),
    )
    throw error
  }
}

async function backendOf(client: PoolClient): Promise<number> {
  const { rows } = await client.query<{ readonly pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid ?? 0
}

function release(client: PoolClient, isBroken: boolean): void {
  client.off('error', ignore)
  client.release(isBroken)
}

function ignore(): void {}

async function commit(client: PoolClient): Promise<void> {
  try {
    await client.query('commit')
  } catch (error) {
    throw error instanceof DatabaseError && !isTransient(error) ? new CommitFailedError(error) : error
  }
}

/**
 * In one message with BEGIN: row-level security would hide the device from any statement before it, and what the
 * condition reads from any after it.
 */
function beginSql(
  settings: TransactionSettings,
  {
    readOnly = false,
    isolation,
    asWriter = false,
    statementTimeoutMs,
    condition,
  }: Pick<TransactionOptions, 'readOnly' | 'isolation' | 'asWriter' | 'statementTimeoutMs' | 'condition'>,
): string {
  const calls = Object.entries(settings).map(
    ([name, value]) => `set_config('${name}', '${value.replaceAll("'", "''")}', true)`,
  )
  if (asWriter) calls.push(`set_config('role', sync.writer_role(), true)`)
  calls.push(`set_config('lock_timeout', '${lockWaitMs}ms', true)`)
  if (statementTimeoutMs !== undefined)
    calls.push(`set_config('statement_timeout', '${Math.round(statementTimeoutMs)}ms', true)`)
  const mode = `${isolation ? ` isolation level ${isolation}` : ''}${readOnly ? ' read only' : ''}`
  return `begin${mode}; ${condition ? `${condition.sql}; ` : ''}select ${calls.join(', ')}`
}

/** Ends early when the signal does. */
async function pause(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resume) => {
    const cancelTimer = clock.after(ms, done)
    function done(): void {
      cancelTimer()
      signal?.removeEventListener('abort', done)
      resume()
    }
    signal?.addEventListener('abort', done, { once: true })
  })
}

function isLocked(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '55P03'
}

function toLocked(cause: unknown): TideError {
  return new TideError(
    'timeout',
    `Another transaction holds a lock in the database for longer than ${lockWaitMs / 1000} s.`,
    {
      cause,
      retryAfterMs: 1000,
      remedy:
        'It is tried again by itself. Transactions that are left open are in pg_stat_activity, as "idle in transaction".',
    },
  )
}

/** Whether Postgres stopped a statement, by its own time or because somebody asked it to. */
function isStopped(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '57014'
}

function toStopped(cause: unknown, statementTimeoutMs: number | undefined): TideError {
  const limit = statementTimeoutMs === undefined ? 'it may' : `${statementTimeoutMs / 1000} s`
  return new TideError(
    'timeout',
    `The database took longer than ${limit} for one statement; it was stopped, and nothing was done.`,
    {
      cause,
      retryAfterMs: 5000,
      remedy:
        'Ask for less at a time: a shorter range, a filter, fewer writes in one push. The server allows more by STATEMENT_TIMEOUT_MS.',
    },
  )
}

/** Errors after which the whole transaction may simply be run again. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  // Serialization failure, deadlock, connection exceptions, shutdown, out of resources.
  if (['40001', '40P01'].includes(code) || /^(08|53|57P)/.test(code)) return true
  return (
    ['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ETIMEDOUT'].includes(code) ||
    /connection terminated|timeout exceeded|connection error/i.test(error.message)
  )
}
