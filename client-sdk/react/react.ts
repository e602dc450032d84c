'use client'
/**
 * `@tidewire/client/react`: the replica in components. Everything stands on the public SDK and on
 * `useSyncExternalStore`.
 */
import {
  createContext,
  createElement,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
  type ReactElement,
  type ReactNode,
} from 'react'
import { TideError } from '../../protocol/error.ts'
import type {
  ClientOf,
  ClientStatus,
  Conflict,
  QueryOf,
  Schema,
  shippedSchema,
  SubscribeOptions,
  Table,
  TableDescriptor,
  Target,
  Tracked,
} from '../index.ts'
import { followedState, waiting, type Followed } from './followed-state.ts'
import { liveState, loading, type LiveResult, type LiveRowsSource, type LiveState } from './live-result.ts'
import { constant, type Readable } from './readable.ts'
import { statusState } from './status-state.ts'
import { idle, WriteFollower, type WriteState } from './write-state.ts'

export type { Followed } from './followed-state.ts'
export type { LiveResult } from './live-result.ts'
export type { WriteState } from './write-state.ts'

/** An application with tables of its own declares them here: `interface Register { schema: typeof mySchema }`. */
export interface Register {}

type RegisteredSchema = Register extends { readonly schema: infer S extends Schema } ? S : typeof shippedSchema

/** The client that hooks work with: of the shipped tables, or of the schema that `Register` names. */
export type RegisteredClient = ClientOf<RegisteredSchema>

export interface TidewireProviderProps {
  /**
   * What `connect` answered, or its promise: until it has resolved, and with `null` (on a server), hooks show that
   * nothing is here yet. When it rejects, the nearest error boundary is told. The client is not closed with the
   * provider.
   */
  readonly client: RegisteredClient | PromiseLike<RegisteredClient> | null
  readonly children?: ReactNode
}

interface Provided {
  /** Null while the replica is being opened. */
  readonly tide: RegisteredClient | null
  readonly opened: PromiseLike<RegisteredClient> | null
}

const TidewireContext = createContext<Provided | null>(null)

/** Gives a client to the hooks of all components in it. */
export function TidewireProvider({ client, children }: TidewireProviderProps): ReactElement {
  const tide = useOpened(client)
  const opened = useMemo(() => (isPromise(client) ? client : client && Promise.resolve(client)), [client])
  const provided = useMemo(() => ({ tide, opened }), [tide, opened])
  return createElement(TidewireContext.Provider, { value: provided }, children)
}

function useOpened(client: TidewireProviderProps['client']): RegisteredClient | null {
  const [settled, setSettled] = useState<{
    readonly of: TidewireProviderProps['client']
    readonly tide: RegisteredClient | null
    readonly failure: { readonly cause: unknown } | null
  }>({ of: null, tide: null, failure: null })
  useEffect(() => {
    if (!isPromise(client)) return undefined
    let isCurrent = true
    client.then(
      (tide) => isCurrent && setSettled({ of: client, tide, failure: null }),
      (cause: unknown) => isCurrent && setSettled({ of: client, tide: null, failure: { cause } }),
    )
    return () => {
      isCurrent = false
    }
  }, [client])
  if (!isPromise(client)) return client
  if (settled.of !== client) return null
  if (settled.failure !== null) throw settled.failure.cause
  return settled.tide
}

function isPromise(client: TidewireProviderProps['client']): client is PromiseLike<RegisteredClient> {
  return client !== null && 'then' in client
}

function useProvided(hook: string): Provided {
  const provided = useContext(TidewireContext)
  if (provided === null)
    throw new TideError('config_invalid', `${hook} is used outside of <TidewireProvider>.`, {
      remedy: 'Render the component inside of <TidewireProvider client={tide}>.',
    })
  return provided
}

/** The client; null until the replica is open, and on a server. */
export function useTide(): RegisteredClient | null {
  return useProvided('useTide').tide
}

/**
 * The rows of this replica that match, in the order asked for, now and after every change. The table and the query may
 * be written in place: what they say is compared, not what they are. With `null` for a query nothing is asked. A query
 * that cannot be right throws to the nearest error boundary, as `find` does.
 */
export function useLive<T extends TableDescriptor>(
  select: (tide: RegisteredClient) => Table<T>,
  query: QueryOf<T> | null = {},
): LiveResult<Tracked<T>> {
  const { tide } = useProvided('useLive')
  const table = tide === null || query === null ? null : select(tide)
  const key = keyOf(query)
  const source = useMemo<Readable<LiveState<Tracked<T>>>>(() => {
    if (table === null || query === null) return constant(loading<Tracked<T>>())
    return liveState(table, key, { start: (notify) => table.live(query, notify) })
    // `key` says what the query is.
  }, [table, key])
  return useLiveState(source)
}

/** Open conflicts that this replica can see, oldest first, and how to settle them: as `tide.conflicts`. */
export function useConflicts(): {
  readonly conflicts: readonly Conflict[]
  readonly status: LiveResult<Conflict>['status']
  readonly resolve: RegisteredClient['conflicts']['resolve']
} {
  const { tide, opened } = useProvided('useConflicts')
  const source = useMemo(() => {
    if (tide === null) return constant(loading<Conflict>())
    const live: LiveRowsSource<Conflict> = { start: (notify) => tide.conflicts.live(notify) }
    return liveState(tide.conflicts, '', live)
  }, [tide])
  const { rows: conflicts, status } = useLiveState(source)
  const resolve = useCallback<RegisteredClient['conflicts']['resolve']>(
    async (id, choice) => (await theClient(opened)).conflicts.resolve(id, choice),
    [opened],
  )
  return useMemo(() => ({ conflicts, status, resolve }), [conflicts, status, resolve])
}

/** `tide.status`, now and whenever it differs; null until the replica is open, and on a server. */
export function useStatus(): ClientStatus | null {
  const { tide } = useProvided('useStatus')
  const source = useMemo<Readable<ClientStatus | null>>(
    () => (tide === null ? constant(null) : statusState(tide)),
    [tide],
  )
  return useSyncExternalStore(source.subscribe, source.get, nothing)
}

/**
 * A function that writes, and how far its newest run is. `run` calls `write` with the client, waiting for it to open,
 * and answers what `write` answers. It never rejects: when `write` throws it answers `undefined`, and `error` says why.
 * What was written goes its way also when the component is gone.
 */
export function useWrite<A extends readonly unknown[], R>(
  write: (tide: RegisteredClient, ...args: A) => Promise<R>,
): WriteState & { readonly run: (...args: A) => Promise<R | undefined>; readonly reset: () => void } {
  const { opened } = useProvided('useWrite')
  const newest = useRef(write)
  useEffect(() => {
    newest.current = write
  })
  const [follower] = useState(() => new WriteFollower())
  const state = useSyncExternalStore(follower.subscribe, follower.get, notWritten)
  const run = useCallback(
    (...args: A) =>
      follower.run(async () => {
        const tide = await theClient(opened)
        return { tide, result: await newest.current(tide, ...args) }
      }),
    [follower, opened],
  )
  return useMemo(() => ({ ...state, run, reset: follower.reset }), [state, run, follower])
}

/**
 * Follows a channel while the component is shown, as `tide.subscribe`. What is wished may be written in place. With
 * `null` nothing is followed. A second after the component is gone the rows go that nothing else holds; with `keep:
 * true` they stay, for offline use.
 */
export function useSubscribe(
  target: Target | null,
  options: Omit<SubscribeOptions<RegisteredSchema>, 'signal'> & { readonly keep?: boolean } = {},
): Followed {
  const { tide } = useProvided('useSubscribe')
  const key = keyOf([target, options])
  const source = useMemo(() => {
    if (tide === null || target === null) return constant(waiting)
    const { keep = false, ...rest } = options
    return followedState((signal) => tide.subscribe(target, { ...rest, signal }), keep)
    // `key` says what is wished.
  }, [tide, key])
  return useSyncExternalStore(source.subscribe, source.get, notFollowed)
}

function useLiveState<R>(source: Readable<LiveState<R>>): LiveResult<R> {
  const { result, error } = useSyncExternalStore(source.subscribe, source.get, loading<R>)
  if (error !== null) throw error.cause
  return result
}

async function theClient(opened: Provided['opened']): Promise<RegisteredClient> {
  if (opened !== null) return opened
  throw new TideError('closed', 'There is no client to write with: <TidewireProvider> was given null.', {
    remedy: 'Give it what `connect` answers.',
  })
}

/** What it says, as text; an `undefined` within is something else than nothing. */
function keyOf(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (part === undefined ? '\u0000undefined' : part)) ?? ''
}

const nothing = (): null => null
const notWritten = (): WriteState => idle
const notFollowed = (): Followed => waiting
