import type { Clock } from './clock.ts'

/**
 * Those who ask while an answer is under way get the same one, and so do those who ask for some time after it: nobody
 * makes work by asking often. A failure is not kept.
 */
export function oneAtATime<T>(
  read: () => Promise<T>,
  kept?: { readonly clock: Clock; readonly ms: number },
): () => Promise<T> {
  let answer: Promise<T> | undefined
  const forget = (): void => {
    answer = undefined
  }
  return () =>
    (answer ??= read().then(
      (value) => {
        if (kept) kept.clock.after(kept.ms, forget)
        else forget()
        return value
      },
      (error: unknown) => {
        forget()
        throw error
      },
    ))
}
