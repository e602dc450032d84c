import type { ResultChange } from '../query/live-query.ts'

/** A running live query: rows as they change, until it is stopped. */
export interface LiveRows<R> extends AsyncIterable<readonly R[]> {
  stop(): void
}

type Start<R> = (
  notify: (rows: readonly R[], change: ResultChange<R>) => void,
  failed: (error: unknown) => void,
) => () => void

/**
 * A live query as an async iterable: each turn gives the newest rows; states that nobody fetched in time are skipped.
 * The query starts with the first `next()` and ends with `break`, `return` or `stop()`, with an error of its own, which
 * the iteration throws, and when the client is closed.
 */
export function liveRows<R>(start: Start<R>, onClose: (listener: () => void) => () => void): LiveRows<R> {
  let stopQuery: (() => void) | null = null
  let isStopped = false
  let latest: readonly R[] | null = null
  let failure: { readonly error: unknown } | null = null
  let wake: (() => void) | null = null
  let forget: (() => void) | null = null
  const rouse = (): void => {
    wake?.()
    wake = null
  }
  const end = (): void => {
    isStopped = true
    stopQuery?.()
    forget?.()
    rouse()
  }
  const next = async (): Promise<IteratorResult<readonly R[]>> => {
    if (isStopped) return { done: true, value: undefined }
    forget ??= onClose(end)
    stopQuery ??= start(
      (rows) => {
        latest = rows
        rouse()
      },
      (error) => {
        failure = { error }
        stopQuery?.()
        rouse()
      },
    )
    for (;;) {
      if (isStopped) return { done: true, value: undefined }
      if (failure !== null) {
        end()
        throw failure.error
      }
      if (latest !== null) {
        const value = latest
        latest = null
        return { done: false, value }
      }
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return {
    stop: end,
    [Symbol.asyncIterator]: () => ({
      next,
      return: () => {
        end()
        return Promise.resolve({ done: true as const, value: undefined })
      },
    }),
  }
}
