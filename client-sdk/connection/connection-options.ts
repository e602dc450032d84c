import { mostPushMutations } from '../../protocol/limits.ts'
import type { BackoffPolicy } from '../../lib/backoff.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import type { TideError } from '../../protocol/error.ts'
import type { ErrorCode } from '../../protocol/error-codes.ts'
import type { Replica } from '../replica/replica.ts'
import type { Transport } from './transport.ts'

/** A fixed token, or a function that is asked for one whenever one is needed. */
export type TokenSource = string | (() => Promise<string>)

export interface ConnectionOptions {
  readonly replica: Replica
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  /** A function is asked at every try, and before its token expires. */
  readonly token: TokenSource
  readonly device: Pick<UpOf<'hello'>['device'], 'name' | 'kind'> & {
    readonly storageEngine?: UpOf<'hello'>['device']['storageEngine']
  }
  /** Pauses between tries. */
  readonly backoff?: BackoffPolicy
  /** Hash of the schema the client was built with; default: what the server last said. */
  readonly schemaHash?: string
}

export interface ConnectionStatus {
  /** `connecting` also while waiting for the next try; `stopped`: the server refuses and will go on to, see `error`. */
  readonly connection: 'offline' | 'connecting' | 'live' | 'stopped'
  /** Since when it is not sure that the replica has all there is, milliseconds since 1970; null: it is current. */
  readonly staleSince: number | null
  /** Why it is stopped, or what went wrong last. */
  readonly error?: TideError
}

/** Milliseconds. */
export const timing = {
  backoff: { minMs: 300, maxMs: 30_000 },
  /** For a token and a transport, each. */
  opening: 15_000,
  /**
   * For the answer to `hello`: longer than the server takes at most (60 s, when a crowd waits for its database in
   * line). A client that gave up earlier would come again while its first `hello` is still being worked on, and the
   * crowd would never get smaller.
   */
  welcome: 75_000,
  request: 30_000,
  /** For the answer to a push or a page: they may wait behind others on the server. */
  answer: 120_000,
  /** Without any message for so long the connection counts as dead, whatever the transport says. */
  silence: 90_000,
  /** Without a frontier for so long the replica counts as stale. */
  frontier: 15_000,
  /** How long before its end a token is replaced, and the pause between tries. */
  tokenLead: 60_000,
  tokenRetry: 10_000,
  /** The cursor follows the frontier at most so often: without changes it need not be exact. */
  advance: 10_000,
  /** Between tries of a subscription or a push that failed in a way that may pass. */
  retry: 3_000,
} as const

/** Batches that could not be applied, one after another, before the replica fetches everything anew. */
export const rebuildAfter = 3

/**
 * Of pushes. `leastBytes`: servers take at least so many, and a refusal for its size meant something else than a push
 * that is smaller. `pace`: servers end a connection that sends more than about 200 messages a second for long.
 */
export const pushLimits = {
  mutations: mostPushMutations,
  bytes: 512 * 1024,
  leastBytes: 64 * 1024,
  inFlight: 4,
  pace: { burst: 20, perSecond: 120 },
} as const

/**
 * What is wrong on the server's side, and passes: shown in `status` until the next sign that all is here. A write that
 * finds no room says nothing of what others wrote.
 */
export const troubles: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'capture_unavailable',
  'database_unreachable',
  'schema_mismatch',
  'storage_full',
])
