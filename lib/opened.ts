import type { Clock } from './clock.ts'

export interface Patience {
  readonly clock: Clock
  readonly delayMs: number
  readonly ms: number
}

/**
 * What a program has opened, and the one way back from it. Each part says at once how it ends, so that a start that
 * fails halfway and an orderly stop go the same way:
 *
 *     1. whoever asks is told so, and all goes on as before for a while
 *     2. all that works by itself is told to finish, at the same time, and is waited for no longer than a limit
 *     3. everything ends, the newest first
 */
export class Opened {
  readonly #ends = new AsyncDisposableStack()
  readonly #finishes: (() => Promise<unknown>)[] = []
  #closing: Promise<void> | undefined

  /** Called first, together with the others of its kind. */
  toFinish(finish: () => Promise<unknown>): void {
    this.#finishes.push(finish)
  }

  /** Called last, after the ends of all that was opened later. */
  toEnd(end: () => void | Promise<void>): void {
    this.#ends.defer(end)
  }

  get isClosing(): boolean {
    return this.#closing !== undefined
  }

  /**
   * Goes the way back, once: further callers wait for the first. `delayMs` is how long all goes on as before, `ms` the
   * most that finishing takes. What fails stops nothing: `onError` hears of each failure.
   */
  close(patience: Patience, onError: (error: unknown) => void): Promise<void> {
    return (this.#closing ??= this.#close(patience, onError))
  }

  async #close({ clock, delayMs, ms }: Patience, onError: (error: unknown) => void): Promise<void> {
    if (delayMs > 0) await new Promise<void>((resolve) => void clock.after(delayMs, resolve))
    const finished = Promise.all(this.#finishes.map((finish) => finish().catch(onError)))
    const late = Promise.withResolvers<void>()
    const cancel = clock.after(ms, late.resolve)
    await Promise.race([finished, late.promise])
    cancel()
    try {
      await this.#ends.disposeAsync()
    } catch (error) {
      for (const one of failuresOf(error)) onError(one)
    }
  }
}

/** Of several failures a stack throws the last one, around those before. */
function failuresOf(error: unknown): readonly unknown[] {
  return error instanceof SuppressedError ? [...failuresOf(error.suppressed), error.error] : [error]
}
