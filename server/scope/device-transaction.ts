import { DatabaseError, type Pool, type PoolClient } from 'pg'
import { backoffDelay } from '../../lib/backoff.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { DevicePrincipal } from './principal.ts'

/** The database is away, or asked too often to try again. Nothing is wrong with what was asked: it may be asked again. */
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

export interface DeviceTransactionOptions {
  readonly pool: Pool
  readonly clock: Clock
  readonly random: Random
  /** Further errors of the work after which the whole may simply be run again. */
  readonly retryAfter?: (error: unknown) => boolean
}

export interface DeviceTransaction {
  readonly client: PoolClient
  /** No other attempt follows this one. */
  readonly isLastAttempt: boolean
}

/** Retries after deadlocks, serialization failures and lost connections, with their pauses. */
const retries = 3
const backoff = { minMs: 20, maxMs: 500 }

/**
 * Runs `work` in one transaction that carries the identity of the device (settings `app.*`, which triggers and marks read),
 * commits when it returns and rolls back when it throws. Runs it again after a deadlock, a serialization failure or a lost
 * connection, so `work` keeps nothing outside. Throws what `work` threw, `CommitFailedError`, or `DatabaseUnavailableError`.
 */
export async function inDeviceTransaction<T>(
  { pool, clock, random, retryAfter = () => false }: DeviceTransactionOptions,
  principal: DevicePrincipal,
  work: (transaction: DeviceTransaction) => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const isLastAttempt = attempt === retries
    try {
      return await once(pool, principal, (client) => work({ client, isLastAttempt }))
    } catch (error) {
      if (!(retryAfter(error) || isTransient(error))) throw error
      if (isLastAttempt)
        throw new DatabaseUnavailableError(`The database failed ${retries + 1} times: ${String(error)}`, {
          cause: error,
        })
    }
    await new Promise<void>((resume) => clock.after(backoffDelay(backoff, attempt, random), resume))
  }
}

async function once<T>(pool: Pool, principal: DevicePrincipal, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  // A connection that breaks says so twice: to the query that waits, and as an event that would end the process.
  client.on('error', ignore)
  try {
    await client.query(beginSql(settingsOf(principal)))
    const result = await work(client)
    await commit(client)
    release(client, false)
    return result
  } catch (error) {
    // A connection that cannot roll back is of no use to anyone.
    await client.query('rollback').then(
      () => release(client, false),
      () => release(client, true),
    )
    throw error
  }
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

/** `app.mutation_id` stays empty: one statement may carry many mutations. Marks say which were in a commit. */
function settingsOf({ organizationId, kind, id, deviceId }: DevicePrincipal): Readonly<Record<string, string>> {
  return {
    'app.organization_id': organizationId,
    'app.device_id': deviceId,
    'app.user_id': kind === 'user' ? id : '',
    'app.agent_id': kind === 'agent' ? id : '',
    'app.mutation_id': '',
  }
}

/** In one message with BEGIN: row-level security would hide the device from any statement before it. */
function beginSql(settings: Readonly<Record<string, string>>): string {
  const calls = Object.entries(settings).map(
    ([name, value]) => `set_config('${name}', '${value.replaceAll("'", "''")}', true)`,
  )
  return `begin; select ${calls.join(', ')}`
}

/** Errors after which the whole transaction may simply be run again. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  // Serialization failure, deadlock, lock timeout, connection exceptions, shutdown, out of resources.
  if (['40001', '40P01', '55P03'].includes(code) || /^(08|53|57P)/.test(code)) return true
  return (
    ['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ETIMEDOUT'].includes(code) ||
    /connection terminated|timeout exceeded|connection error/i.test(error.message)
  )
}
