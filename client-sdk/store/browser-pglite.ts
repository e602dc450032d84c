import { TideError } from '../../protocol/error.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import { errorOf, type StoreAnswer, type StoreCall, type StoreMethods } from './browser-calls.ts'
import type { PglitePlace } from './pglite-like.ts'
import type { ReplicaStore } from './store.ts'

/**
 * A replica in a PGlite with pgvector, on the origin's private file system or IndexedDB, for one tab at a time. All of
 * it runs in a worker: the page's own thread only asks. Throws `TideError`: `replica_locked`, `config_invalid`.
 */
export async function openPgliteStore(place: PglitePlace, schema: Schema): Promise<ReplicaStore> {
  if (!('name' in place)) {
    throw new TideError('config_invalid', `The replica ${place.dir} has a folder but no name.`, {
      remedy: 'In browsers give `name`.',
    })
  }
  const worker = new StoreWorker()
  try {
    await worker.call('open', place.name, schema)
  } catch (error) {
    worker.end(new TideError('closed', 'The replica was never open.'))
    throw error
  }
  return {
    load: () => worker.call('load'),
    rows: (table, ids) => worker.call('rows', table, ids),
    query: (table, query) => worker.call('query', table, query),
    commit: (commit) => worker.call('commit', commit),
    staged: (subscription, table, ids) => worker.call('staged', subscription, table, ids),
    nearest: (table, request) => worker.call('nearest', table, request),
    sql: (text, params) => worker.call('sql', text, params),
    close: () => worker.close(),
  }
}

interface Asked {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: TideError) => void
}

class StoreWorker {
  readonly #worker = new Worker(new URL('./browser-worker-entry.js', import.meta.url), { type: 'module' })
  readonly #asked = new Map<number, Asked>()
  #count = 0
  #ended: TideError | undefined

  constructor() {
    this.#worker.addEventListener('message', ({ data }: MessageEvent<StoreAnswer>) => this.#take(data))
    this.#worker.addEventListener('error', ({ message }: Partial<ErrorEvent>) => {
      this.end(new TideError('internal', `The worker of the replica failed: ${message ?? 'it could not be loaded'}.`))
    })
  }

  call<M extends keyof StoreMethods>(method: M, ...args: Parameters<StoreMethods[M]>): ReturnType<StoreMethods[M]>
  call(method: keyof StoreMethods, ...args: readonly unknown[]): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    this.#count += 1
    const id = this.#count
    return new Promise<unknown>((resolve, reject) => {
      this.#worker.postMessage({ id, method, args } satisfies StoreCall)
      this.#asked.set(id, { resolve, reject })
    })
  }

  async close(): Promise<void> {
    if (this.#ended !== undefined) return
    const closing = this.call('close')
    this.#ended = new TideError('closed', 'The replica is closed.')
    await closing.finally(() => this.end(new TideError('closed', 'The replica was closed meanwhile.')))
  }

  /** Ends the worker; what it was asked for fails with `error`, and so does all that is asked later. */
  end(error: TideError): void {
    this.#ended ??= error
    this.#worker.terminate()
    for (const { reject } of this.#asked.values()) reject(error)
    this.#asked.clear()
  }

  #take(answer: StoreAnswer): void {
    const asked = this.#asked.get(answer.id)
    this.#asked.delete(answer.id)
    if ('result' in answer) asked?.resolve(answer.result)
    else asked?.reject(errorOf(answer))
  }
}
