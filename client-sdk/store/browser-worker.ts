import { PGlite } from '@electric-sql/pglite'
import { OpfsAhpFS } from '@electric-sql/pglite/opfs-ahp'
import { vector } from '@electric-sql/pglite-pgvector'
import { TideError } from '../../protocol/error.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import { answerOf, type StoreAnswer, type StoreCall } from './browser-calls.ts'
import { lockReplica } from './browser-lock.ts'
import { browserStorage } from './browser-storage.ts'
import type { PGliteLike } from './pglite-like.ts'
import { createPgliteStore } from './pglite-store.ts'
import type { ReplicaStore } from './store.ts'

/** The thread of a browser replica: opens it when the page asks, and answers for its store. */
export function serveReplica(): void {
  let opened: Promise<ReplicaStore> | undefined

  const run = async ({ method, args }: StoreCall): Promise<unknown> => {
    if (method === 'open') {
      const [name, schema] = args as [string, Schema]
      opened = open(name, schema)
      await opened
      return undefined
    }
    const store = await opened
    // The page's side of this call is typed by the same interface.
    const call = store?.[method] as ((...given: readonly unknown[]) => Promise<unknown>) | undefined
    if (call === undefined) throw new TideError('internal', `The replica was asked for ${method} before it was opened.`)
    return call.apply(store, [...args])
  }

  addEventListener('message', ({ data }: MessageEvent<StoreCall>) => {
    run(data).then(
      (result) => postMessage({ id: data.id, result } satisfies StoreAnswer),
      (error: unknown) => postMessage(answerOf(data.id, error)),
    )
  })
}

/** The lock comes first and goes last. */
async function open(name: string, schema: Schema): Promise<ReplicaStore> {
  const lock = await lockReplica(name)
  const openDatabase = async (): Promise<PGliteLike> => {
    const database = await openPglite(name, Object.keys(schema).length)
    return {
      ...database,
      close: async () => {
        await database.close()
        lock.release()
      },
    }
  }
  try {
    return await createPgliteStore({ schema, open: openDatabase })
  } catch (error) {
    lock.release()
    throw error
  }
}

async function openPglite(name: string, tables: number): Promise<PGliteLike> {
  const storage = browserStorage()
  const database = await PGlite.create({
    ...(storage === 'opfs'
      ? { fs: new OpfsAhpFS(name, { maintainedPoolSize: spareFiles(tables) }) }
      : { dataDir: `idb://${name}` }),
    // On IndexedDB PGlite would else write the whole file tree after every statement, reads included.
    relaxedDurability: storage === 'idb',
    extensions: { vector },
    postgresqlconf: ['shared_buffers=16MB'],
  })
  await database.exec(`set timezone to 'UTC'`)
  return {
    query: database.query.bind(database),
    exec: database.exec.bind(database),
    transaction: database.transaction.bind(database),
    ...(storage === 'idb' ? { flush: () => flushFiles(database) } : {}),
    close: database.close.bind(database),
  }
}

/**
 * Files can only be opened between transactions, and one transaction makes all tables: each has up to six files (rows,
 * long values and their index, primary key, two indexes). PGlite's own 100 spare ones are for everything else.
 */
function spareFiles(tables: number): number {
  return 100 + 6 * tables
}

/** `syncToFs` of PGlite returns at once when durability is relaxed; its file system's own does not. */
async function flushFiles(database: PGlite): Promise<void> {
  const { fs } = database as unknown as { readonly fs: { syncToFs(relaxed: boolean): Promise<void> } }
  await fs.syncToFs(false)
}
