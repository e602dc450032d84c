import type { Clock } from '../../lib/clock.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import type { SimDatabase } from './sim-database.ts'

/** The change log is part of every commit here, so there is nothing to wait for. */
export function simSource(database: SimDatabase, clock: Clock): ChangeSource {
  let isRunning = false
  let notify: () => void = () => undefined
  const poll = (): void => {
    if (!isRunning) return
    notify()
    clock.after(20, poll)
  }
  return {
    start(onCommits) {
      notify = onCommits
      isRunning = true
      clock.after(20, poll)
      return Promise.resolve()
    },
    wake: () => notify(),
    settle: (snapshot) => Promise.resolve(snapshot),
    head: () => Promise.resolve(database.head),
    stop() {
      isRunning = false
      return Promise.resolve()
    },
  }
}
