import pg from 'pg'
import { messageKind, tapMessages, type TakeMessage } from './message-tap.ts'

/**
 * Takes the fields of one row, which ends before `end`: at `offset` their number (16 bits), then of each its length (32
 * bits, -1: null) and its bytes. Valid during the call.
 */
export type TakeRow = TakeMessage

/**
 * Runs a statement whose rows go to `take` as they come from the socket, in Postgres' binary format. Everything else
 * passes through pg as always. pg itself would make a string of every field, which is half of what reading a page
 * costs. Nobody else may use the client meanwhile. Rejects with what `take` throws.
 */
export async function queryRaw(client: pg.ClientBase, config: pg.QueryConfig, take: TakeRow): Promise<void> {
  let failure: Error | undefined
  const end = tapMessages(client, messageKind.dataRow, (bytes, offset, rowEnd) => {
    if (failure !== undefined) return
    try {
      take(bytes, offset, rowEnd)
    } catch (error) {
      failure = error instanceof Error ? error : new Error('A row could not be taken', { cause: error })
    }
  })
  try {
    await runUndescribed(client, config)
  } finally {
    end()
  }
  if (failure !== undefined) throw failure
}

function runUndescribed(client: pg.ClientBase, config: pg.QueryConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    const query = new UndescribedQuery({ ...config, binary: true } as pg.QueryConfig)
    const callback = (error: Error | null): void => (error ? reject(error) : resolve())
    // pg's types know callbacks only of its own queries.
    ;(client as unknown as QueryRunner).query(query, callback)
  })
}

interface QueryRunner {
  query(query: pg.Query, callback: (error: Error | null) => void): void
}

/** What a query of pg asks of a connection, which its types leave out. */
interface Preparing {
  describe(portal: unknown): void
}
const Prepared = pg.Query as unknown as new (config: pg.QueryConfig) => pg.Query & {
  /** Parses, binds, describes and executes, in one write. */
  prepare(connection: Preparing): void
  requiresPreparation(): boolean
}

/**
 * pg asks what the columns of an answer are, each time: with 50 columns that is as long as a row, and nobody reads it.
 */
class UndescribedQuery extends Prepared {
  /** Only the extended protocol knows binary results; without parameters pg would take the simple one. */
  override requiresPreparation(): boolean {
    return true
  }

  override prepare(connection: Preparing): void {
    super.prepare(Object.create(connection, { describe: { value: () => undefined } }) as Preparing)
  }
}
