import pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import type { StatementObserver } from '../telemetry/telemetry.ts'

type Run = (...args: readonly unknown[]) => unknown
type Callback = (error: unknown, result?: unknown) => void

/**
 * From now on `observer` hears of each statement of every connection that the pool makes. Cursors and the like pass
 * untold.
 */
export function observeStatements(pool: pg.Pool, observer: StatementObserver, clock: Pick<Clock, 'monotonic'>): void {
  pool.on('connect', (client) => {
    const run = client.query.bind(client) as unknown as Run
    // pg has no hook for it, and its `query` is one function under many overloads: text or settings, values or none,
    // callback or promise.
    Object.defineProperty(client, 'query', {
      value: (...args: readonly unknown[]): unknown => {
        const text = textOf(args[0])
        if (text === undefined) return run(...args)
        const began = clock.monotonic()
        const told = (error: unknown, result: unknown): void =>
          observer.ran(text, clock.monotonic() - began, rowsOf(result), Boolean(error))
        const at = args.findIndex((arg) => typeof arg === 'function')
        if (at < 0) return promised(run(...args), told)
        const callback = args[at] as Callback
        return run(
          ...args.toSpliced(at, 1, (error: unknown, result: unknown) => {
            told(error, result)
            callback(error, result)
          }),
        )
      },
    })
  })
}

async function promised(answer: unknown, told: (error: unknown, result: unknown) => void): Promise<unknown> {
  try {
    const result = await answer
    told(undefined, result)
    return result
  } catch (error) {
    told(error, undefined)
    throw error
  }
}

function textOf(config: unknown): string | undefined {
  if (typeof config === 'string') return config
  if (typeof config !== 'object' || config === null || 'callback' in config) return undefined
  if ('submit' in config && !(config instanceof pg.Query)) return undefined
  return 'text' in config && typeof config.text === 'string' ? config.text : undefined
}

/** Of several statements in one message each has a result. */
function rowsOf(result: unknown): number {
  if (Array.isArray(result)) return result.reduce<number>((sum, one) => sum + rowsOf(one), 0)
  if (typeof result !== 'object' || result === null || !('rowCount' in result)) return 0
  return typeof result.rowCount === 'number' ? result.rowCount : 0
}
