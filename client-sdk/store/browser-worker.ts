import { PGlite } from '@electric-sql/pglite'
import { OpfsAhpFS } from '@electric-sql/pglite/opfs-ahp'
import { vector } from '@electric-sql/pglite-pgvector'
import { worker } from '@electric-sql/pglite/worker'
import { browserStorage, flushChannelName, type FlushMessage } from './browser-storage.ts'

/** What the page tells of the replica. `tables`: how many the schema has. */
export interface ReplicaPlace {
  readonly name: string
  readonly tables: number
}

/**
 * Files can only be opened between transactions, and one transaction makes all tables: each has up to six files (rows,
 * long values and their index, primary key, two indexes). PGlite's own 100 spare ones are for everything else.
 */
function spareFiles(tables: number): number {
  return 100 + 6 * tables
}

/**
 * The thread in which the PGlite of a browser replica runs. Every tab starts one; that of the first tab opens the
 * database and serves all, and when it goes another takes over.
 */
export async function serveReplica(): Promise<void> {
  await worker({
    init: async (options) => {
      const { name, tables } = options.meta as ReplicaPlace
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
      serveFlushes(name, storage === 'idb' ? () => flushFiles(database) : async () => {})
      return database
    },
  })
}

/** `syncToFs` of PGlite returns at once when durability is relaxed; its file system's own does not. */
async function flushFiles(database: PGlite): Promise<void> {
  const { fs } = database as unknown as { readonly fs: { syncToFs(relaxed: boolean): Promise<void> } }
  await fs.syncToFs(false)
}

/** Flushes one after the other: all that ask while one runs are served by the next. */
function serveFlushes(name: string, flush: () => Promise<void>): void {
  const channel = new BroadcastChannel(flushChannelName(name))
  let waiting: string[] = []
  let isRunning = false

  const run = async (): Promise<void> => {
    isRunning = true
    while (waiting.length > 0) {
      const ids = waiting
      waiting = []
      const error = await flush().then(() => null, String)
      channel.postMessage({ kind: 'done', ids, error } satisfies FlushMessage)
    }
    isRunning = false
  }

  channel.addEventListener('message', ({ data }: MessageEvent<FlushMessage>) => {
    if (data.kind !== 'ask') return
    waiting.push(data.id)
    if (!isRunning) void run()
  })
}
