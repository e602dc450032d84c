import type { CancelTimer, Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import { Connection, type ConnectionOptions } from '../connection/connection.ts'
import type { ConnectionView } from '../connection/connection-view.ts'
import type { OutboxLimits } from '../outbox/outbox.ts'
import type { TailLimits } from '../outbox/tail.ts'
import { TideError } from '../../protocol/error.ts'
import { Replica } from '../replica/replica.ts'
import type { ReplicaView } from '../replica/replica-view.ts'
import type { ReplicaStore } from '../store/store.ts'

/** A replica and its connection, here or in another tab. */
export interface Engine {
  readonly replica: ReplicaView
  readonly connection: ConnectionView
  /** Read-only SQL. Throws `TideError`: `sql_unavailable`, `sql_failed`. */
  sql(text: string, params: readonly unknown[]): Promise<SqlRows>
  /** Begins to connect, unless another tab has decided about that. */
  start(): void
  close(): Promise<void>
}

export type SqlRows = readonly Readonly<Record<string, unknown>>[]

export interface EngineParts {
  readonly schema: Schema
  readonly clock: Clock
  readonly random: Random
  readonly transport: ConnectionOptions['transport']
  readonly token: ConnectionOptions['token']
  readonly device: ConnectionOptions['device']
  readonly tail?: TailLimits
  readonly outbox?: OutboxLimits
  /**
   * Keeps the process running while the connection is being made: between two tries there is nothing else that would.
   */
  readonly stayAlive?: () => CancelTimer
}

export interface LocalEngine extends Engine {
  readonly replica: Replica
  readonly connection: Connection
  readonly store: ReplicaStore
}

/** Opens what the store holds, in this very tab or process. */
export async function openEngine(parts: EngineParts, store: ReplicaStore): Promise<LocalEngine> {
  const { schema, clock, random, transport, token, device, tail, outbox } = parts
  const replica = await Replica.open({ store, schema, clock, random, tail, outbox })
  const connection = new Connection({ replica, transport, clock, random, token, device })
  return {
    replica,
    connection,
    store,
    sql: (text, params) => readSql(store, text, params),
    start: () => connection.connect(),
    async close() {
      await connection.close()
      await replica.close()
      await store.close()
    },
  }
}

/** Reads a store by SQL, where it speaks it. Throws `TideError`: `sql_unavailable`, `sql_failed`. */
export async function readSql(
  store: Pick<ReplicaStore, 'sql'>,
  text: string,
  params: readonly unknown[],
): Promise<SqlRows> {
  if (store.sql === undefined) throw new TideError('sql_unavailable', 'This replica is kept in memory, without SQL.')
  try {
    return await store.sql(text, params)
  } catch (cause) {
    if (cause instanceof TideError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new TideError('sql_failed', `The query of the replica failed: ${why}.`, { cause })
  }
}
