import { constant, Observed, type Readable } from './readable.ts'

/** Rows of a live query. The object is the same for as long as no row of the result changes. */
export interface LiveResult<R> {
  readonly rows: readonly R[]
  /** `loading`: the replica has not answered yet, and `rows` is empty. */
  readonly status: 'loading' | 'ready'
}

/** What a component renders of a live query; `error`: the query cannot be right. */
export interface LiveState<R> {
  readonly result: LiveResult<R>
  readonly error: { readonly cause: unknown } | null
}

/** Anything that tells its rows now and whenever they change. */
export interface LiveRowsSource<R> {
  /** Throws when it cannot be right. */
  start(notify: (rows: readonly R[]) => void): () => void
}

const nothing: LiveState<never> = { result: { rows: [], status: 'loading' }, error: null }

/** What is shown before there is a client, and on a server. */
export function loading<R>(): LiveState<R> {
  return nothing
}

/** Queries that run at the moment, by what they are asked of: components that ask for the same share one. */
const running = new WeakMap<object, Map<string, Observed<LiveState<unknown>>>>()

/**
 * The rows of one query. Nothing runs, and nothing is kept, before a component subscribes; it ends with the last one
 * that unsubscribes. A component that comes later has the rows at once.
 */
export function liveState<R>(of: object, key: string, source: LiveRowsSource<R>): Readable<LiveState<R>> {
  const queries = running.get(of) ?? new Map<string, Observed<LiveState<unknown>>>()
  running.set(of, queries)
  // What runs under a key was started by this very function for the same table.
  const shared = (): Observed<LiveState<R>> | undefined => queries.get(key) as Observed<LiveState<R>> | undefined
  // What this component showed last: between two times in which it listens it goes on to.
  let own: Readable<LiveState<R>> = constant(loading<R>())
  const make = (): Observed<LiveState<R>> => {
    const query: Observed<LiveState<R>> = new Observed<LiveState<R>>(own.get(), (set) => {
      const stop = begin(source, set)
      return () => {
        stop()
        if (shared() === query) queries.delete(key)
      }
    })
    return query
  }
  return {
    get: () => (shared() ?? own).get(),
    subscribe: (listener) => {
      const query = shared() ?? make()
      queries.set(key, query)
      own = query
      return query.subscribe(listener)
    },
  }
}

function begin<R>(source: LiveRowsSource<R>, set: (state: LiveState<R>) => void): () => void {
  try {
    return source.start((rows) => set({ result: { rows, status: 'ready' }, error: null }))
  } catch (cause) {
    set({ ...loading<R>(), error: { cause } })
    return () => undefined
  }
}
