import { parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import { btree_gin } from '@electric-sql/pglite/contrib/btree_gin'
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm'
import { pgcrypto } from '@electric-sql/pglite/contrib/pgcrypto'
import { vector } from '@electric-sql/pglite-pgvector'
import { systemClock } from '../../lib/clock.ts'
import { copyCheckpointed } from './data-template.ts'
import { backendOf, endStream } from './embedded-backend.ts'
import { TurnServer } from './turns.ts'

/** What the worker is started with. */
export interface EmbeddedWorkerData {
  readonly dataDir: string
  readonly socketPath: string
  readonly idleTransactionMs: number
}

/** What it is told: to copy the data folder as of now, once, or to end. */
export type EmbeddedWorkerTask = { readonly kind: 'copy'; readonly target: string } | { readonly kind: 'close' }

/** What it says: once `ready`, and of each task that it is done. `error`: why it could not copy. */
export type EmbeddedWorkerMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'closed' }
  | { readonly kind: 'copied'; readonly error: string | null }

/** Settings that connections are told at start; clients adapt to them. */
const reported = [
  'server_version',
  'server_encoding',
  'client_encoding',
  'DateStyle',
  'TimeZone',
  'integer_datetimes',
  'standard_conforming_strings',
  'IntervalStyle',
]

// The whole database lives in this thread: a query of seconds blocks nobody's event loop but its own.
if (parentPort) {
  const port = parentPort
  const { dataDir, socketPath, idleTransactionMs } = workerData as EmbeddedWorkerData
  const database = await PGlite.create({
    dataDir,
    extensions: { vector, pg_trgm, pgcrypto, btree_gin },
    // The default of 128 MB is for machines that run nothing else.
    startParams: [...PGlite.defaultStartParams, '-c', 'shared_buffers=32MB', '-c', 'TimeZone=UTC'],
  })
  const parameters: Record<string, string> = {}
  for (const name of reported) {
    const { rows } = await database.query<{ value: string }>('select current_setting($1) as value', [name])
    parameters[name] = rows[0]?.value ?? ''
  }
  const server = new TurnServer(backendOf(database), { clock: systemClock, parameters, idleTransactionMs })
  await server.listen(socketPath)
  port.on('message', (task: EmbeddedWorkerTask) => void (task.kind === 'close' ? close() : copy(task.target)))
  port.postMessage({ kind: 'ready' } satisfies EmbeddedWorkerMessage)

  async function copy(target: string): Promise<void> {
    let error: string | null = null
    try {
      await endStream(database)
      await database.exec('checkpoint')
      const { rows } = await database.query<{ name: string }>('select pg_walfile_name(pg_current_wal_lsn()) as name')
      copyCheckpointed(dataDir, target, rows[0]?.name ?? '')
    } catch (cause) {
      error = String(cause)
    }
    port.postMessage({ kind: 'copied', error } satisfies EmbeddedWorkerMessage)
  }

  async function close(): Promise<void> {
    await server.close()
    await endStream(database)
    await database.exec('checkpoint')
    await database.close()
    port.postMessage({ kind: 'closed' } satisfies EmbeddedWorkerMessage)
    port.close()
  }
}
