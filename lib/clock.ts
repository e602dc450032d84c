/** Cancels a timer; calling it twice is harmless. */
export type CancelTimer = () => void

/**
 * Time as a seam: everything that waits or reads the time receives a clock, so that a simulation can run hours in
 * milliseconds. `now` is in milliseconds since 1970 and may jump; `monotonic` is in milliseconds and never goes back.
 */
export interface Clock {
  now(): number
  monotonic(): number
  /** Calls `run` once after `ms` milliseconds. The timer does not keep the process alive. */
  after(ms: number, run: () => void): CancelTimer
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    if (typeof timer === 'object') timer.unref()
    return () => clearTimeout(timer)
  },
}
