import type { CancelTimer, Clock } from '../../lib/clock.ts'

/** The time as the database has it. */
export interface DatabaseClock extends Clock {
  stop(): void
}

const lookMs = 10_000
/** A slower answer says too little about when it was true. */
const slowestMs = 1000

/**
 * A clock whose `now` is that of the database, which all servers share, and which is asked every ten seconds. So what
 * ends at a time (tokens, sign-ins, invitations) ends at the same moment on every server, also where the clock of one
 * is wrong or jumps. Between two answers it goes on as monotonic time does.
 */
export async function openDatabaseClock(askMs: () => Promise<number>, clock: Clock): Promise<DatabaseClock> {
  /** Of the database's time before the monotonic one. */
  let ahead = clock.now() - clock.monotonic()
  let cancel: CancelTimer = () => undefined
  let stopped = false

  async function ask(): Promise<void> {
    const asked = clock.monotonic()
    const now = await askMs()
    const answered = clock.monotonic()
    if (answered - asked <= slowestMs) ahead = now - (asked + answered) / 2
  }

  function askAgain(): void {
    if (stopped) return
    cancel = clock.after(
      lookMs,
      () =>
        void ask()
          .catch(() => undefined)
          .then(askAgain),
    )
  }

  await ask()
  askAgain()
  return {
    now: () => Math.floor(clock.monotonic() + ahead),
    monotonic: () => clock.monotonic(),
    after: (ms, run) => clock.after(ms, run),
    stop() {
      stopped = true
      cancel()
    },
  }
}
