import type { CancelTimer } from './clock.ts'

/** The longest time that a timer can have. Milliseconds. */
const longest = 2 ** 31 - 1

/**
 * Keeps a Node process running until the returned function is called; timers of a `Clock` do not. Nothing in browsers.
 */
export function stayAlive(): CancelTimer {
  const timer = setInterval(() => undefined, longest)
  return () => clearInterval(timer)
}
