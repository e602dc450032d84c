// How slow the machine is while something is waited for, so that a promise of seconds can be held to on a busy one.
import { performance } from 'node:perf_hooks'
import { threadCpuUsage } from 'node:process'

export interface Pace {
  /** Ends the watch. Answers how many times longer than on an idle core computing took meanwhile; 1 at least. */
  stop(): number
}

/**
 * Of these two the first is work, the second the pause after it: enough work that the scheduler shares it out like any
 * other.
 */
const [workMs, pauseMs] = [15, 60]

/**
 * Computes again and again, a fifth of the time of one core, and compares the time on the wall with the time on the
 * core.
 */
export function watchPace(): Pace {
  let [wall, cpu] = [0, 0]
  const work = (): void => {
    const [began, usage] = [performance.now(), threadCpuUsage()]
    let used = 0
    while (used < workMs) {
      const { user, system } = threadCpuUsage(usage)
      used = (user + system) / 1000
    }
    wall += performance.now() - began
    cpu += used
  }
  const timer = setInterval(work, workMs + pauseMs)
  return {
    stop() {
      clearInterval(timer)
      if (cpu === 0) work()
      return Math.max(1, wall / cpu)
    },
  }
}
