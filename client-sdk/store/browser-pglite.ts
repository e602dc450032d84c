import { LeaderChangedError, PGliteWorker } from '@electric-sql/pglite/worker'
import { TideError } from '../../protocol/error.ts'
import { toBase64 } from '../../protocol/rows/base64.ts'
import { systemRandom } from '../../lib/random.ts'
import { flushChannelName, type FlushMessage } from './browser-storage.ts'
import { lockReplica } from './browser-lock.ts'
import type { ReplicaPlace } from './browser-worker.ts'
import type { PGliteLike, PglitePlace } from './pglite-like.ts'

/** The database of a replica, for one tab at a time. Throws `TideError` `replica_locked`. */
export async function openPglite(place: PglitePlace): Promise<PGliteLike> {
  if (!('name' in place)) {
    throw new TideError('config_invalid', `The replica ${place.dir} has a folder but no name.`, {
      remedy: 'In browsers give `name`.',
    })
  }
  const lock = await lockReplica(place.name)
  try {
    const database = await openShared(place)
    return {
      ...database,
      close: async () => {
        await database.close()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

/**
 * A PGlite with pgvector in a worker, on the origin's private file system or IndexedDB. All tabs of the origin share the
 * one of the same name. When the tab that serves it goes, another takes over within seconds; a page that opens while its
 * forerunner's worker is still going meets just that.
 */
export async function openShared(place: ReplicaPlace): Promise<PGliteLike> {
  const { name } = place
  const worker = new Worker(new URL('./browser-worker-entry.js', import.meta.url), { type: 'module' })
  const database = await PGliteWorker.create(worker, { id: `tidewire:${name}`, meta: place })
  const flushes = new Flushes(name)
  const stopFollowing = database.onLeaderChange(() => flushes.leaderChanged())
  return {
    query: database.query.bind(database),
    exec: database.exec.bind(database),
    transaction: database.transaction.bind(database),
    flush: () => flushes.ask(),
    wasInterrupted: (error) => error instanceof LeaderChangedError,
    close: async () => {
      stopFollowing()
      flushes.close()
      await database.close()
    },
  }
}

/** Asks the serving worker, whichever tab's it is, to write to disk. */
class Flushes {
  readonly #channel: BroadcastChannel
  readonly #asked = new Map<string, { readonly resolve: () => void; readonly reject: (error: Error) => void }>()
  readonly #me = toBase64(systemRandom.bytes(12))
  #count = 0

  constructor(name: string) {
    this.#channel = new BroadcastChannel(flushChannelName(name))
    this.#channel.addEventListener('message', ({ data }: MessageEvent<FlushMessage>) => {
      if (data.kind !== 'done') return
      const error =
        data.error === null
          ? null
          : new TideError('internal', `The replica could not be written to disk: ${data.error}.`)
      for (const id of data.ids) this.#settle(id, error)
    })
  }

  ask(): Promise<void> {
    this.#count += 1
    const id = `${this.#me}:${this.#count}`
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject })
      this.#channel.postMessage({ kind: 'ask', id } satisfies FlushMessage)
    })
  }

  /** The worker that was asked is gone. */
  leaderChanged(): void {
    for (const id of [...this.#asked.keys()]) this.#settle(id, new LeaderChangedError())
  }

  close(): void {
    for (const id of [...this.#asked.keys()])
      this.#settle(id, new TideError('closed', 'The replica was closed before it was written to disk.'))
    this.#channel.close()
  }

  #settle(id: string, error: Error | null): void {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if (error === null) asked?.resolve()
    else asked?.reject(error)
  }
}
