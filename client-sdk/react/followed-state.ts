import { systemClock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import type { FollowedChannel, FollowState } from '../index.ts'
import { Observed, type Readable } from './readable.ts'

/** A channel that a component follows. */
export interface Followed {
  /** As of the handle of `tide.subscribe`; `waiting`: not known yet. */
  readonly state: FollowState | 'waiting'
  /** Why the channel is not followed, or its rows did not come. */
  readonly error: Error | null
}

export const waiting: Followed = { state: 'waiting', error: null }

/** Who shows the next page follows the same channel, so the rows need not be fetched again. */
const lingerMs = 1_000

/** Follows while somebody listens; with `keep`, goes on following after that. */
export function followedState(
  follow: (signal: AbortSignal) => Promise<FollowedChannel>,
  keep: boolean,
): Readable<Followed> {
  return new Observed<Followed>(waiting, (set) => {
    const abort = new AbortController()
    const { signal } = abort
    let state: Followed = waiting
    const tell = (news: Partial<Followed>): void => {
      if (signal.aborted) return
      state = { ...state, ...news }
      set(state)
    }
    const failed = (error: unknown): void =>
      tell({ error: error instanceof Error ? error : new TideError('internal', String(error)) })
    const release = (followed: FollowedChannel): void => {
      if (!keep) systemClock.after(lingerMs, () => void followed.unsubscribe().catch(() => undefined))
    }
    follow(signal).then((followed) => {
      if (signal.aborted) return release(followed)
      const look = (): void => {
        tell({ state: followed.state, error: null })
        followed.ready.catch(failed)
      }
      const stop = followed.onState(look)
      signal.addEventListener('abort', () => {
        stop()
        release(followed)
      })
      look()
    }, failed)
    return () => abort.abort()
  })
}
