/** Waits for so many milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Waits until `done` answers true, asking every `everyMs`. Throws after `timeoutMs` with what was waited for. */
export async function until(
  what: string,
  done: () => boolean | Promise<boolean>,
  { everyMs = 5, timeoutMs = 120_000 } = {},
): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`Waited ${timeoutMs / 1000} s in vain for ${what}.`)
    await pause(everyMs)
  }
}

/** Runs `work` and returns its seconds. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}
