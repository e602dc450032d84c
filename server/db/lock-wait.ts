import { systemClock } from '../../lib/clock.ts'

/** For a transaction that changes tables: whoever comes after one that waits for a table waits too, readers included. */
export const lockWait = `set local lock_timeout = '3s'`
const tries = 20
const pauseMs = 500

/**
 * Runs `work`, one transaction with `lockWait`, again when it waited for a lock in vain or met a deadlock: others have their turn between two
 * tries. Throws the error of the last of 20 tries.
 */
export async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if ((code !== '55P03' && code !== '40P01') || attempt === tries) throw error
    }
    await new Promise<void>((resolve) => void systemClock.after(pauseMs, resolve))
  }
}
