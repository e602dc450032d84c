import { PGliteWorker } from '@electric-sql/pglite/worker'
import { TideError } from '../../protocol/error.ts'
import { flushChannelName, type FlushMessage } from './browser-storage.ts'
import type { PGliteLike, PglitePlace } from './pglite-like.ts'

/**
 * A PGlite with pgvector in a worker, on the origin's private file system or IndexedDB. All tabs of the origin share the
 * one of the same name. What was under way when the tab that serves it goes fails, and may or may not have happened.
 */
export async function openPglite(place: PglitePlace): Promise<PGliteLike> {
  if (!('name' in place)) {
    throw new TideError('config_invalid', `The replica ${place.dir} has a folder but no name.`, { remedy: 'In browsers give `name`.' })
  }
  const { name } = place
  const worker = new Worker(new URL('./browser-worker-entry.js', import.meta.url), { type: 'module' })
  const database = await PGliteWorker.create(worker, { id: `tidewire:${name}`, meta: { name } })
  const flushes = new Flushes(name)
  const stopFollowing = database.onLeaderChange(() => flushes.leaderChanged())
  return {
    query: database.query.bind(database),
    exec: database.exec.bind(database),
    transaction: database.transaction.bind(database),
    flush: () => flushes.ask(),
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
  readonly #me: string
  #count = 0

  constructor(name: string) {
    this.#channel = new BroadcastChannel(flushChannelName(name))
    this.#me = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16)).join('')
    this.#channel.addEventListener('message', ({ data }: MessageEvent<FlushMessage>) => {
      if (data.kind === 'done') for (const id of data.ids) this.#settle(id, data.error)
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
    for (const id of [...this.#asked.keys()]) this.#settle(id, 'the tab that served the replica was closed')
  }

  close(): void {
    for (const id of [...this.#asked.keys()]) this.#settle(id, 'it was closed')
    this.#channel.close()
  }

  #settle(id: string, error: string | null): void {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if (error === null) asked?.resolve()
    else asked?.reject(new TideError('closed', `The replica could not be written to disk: ${error}.`))
  }
}
