import { TideError } from '../../protocol/error.ts'
import type { ClientStatus, Write, WriteStatus } from '../index.ts'
import type { Readable } from './readable.ts'

/** How far the newest run of a `useWrite` is. */
export interface WriteState {
  /**
   * `idle`: nothing was written yet. `writing`: until it is durable on this device. Then as `Write.status`; of several
   * writes the one that needs an eye, or else the one that has come least far. `failed`: the call threw.
   */
  readonly status: 'idle' | 'writing' | 'failed' | WriteStatus
  /** Why the call failed, or why the server refused the write. */
  readonly error: Error | null
}

export interface StatusTeller {
  onStatus(listener: (status: ClientStatus) => void): () => void
}

/** What needs somebody's eye comes first; then what has come least far. */
const order = ['rejected', 'conflict', 'local', 'syncing', 'acknowledged', 'discarded', 'synced'] as const

export const idle: WriteState = { status: 'idle', error: null }

/** Follows the writes of one component while it listens, until another run begins. */
export class WriteFollower implements Readable<WriteState> {
  readonly #listeners = new Set<() => void>()
  #state = idle
  /** Counts runs, so that a former one tells nothing any more. */
  #run = 0
  #followed: { readonly tide: StatusTeller; readonly writes: readonly Write[] } | null = null
  #stop: (() => void) | null = null

  readonly get = (): WriteState => this.#state

  readonly subscribe = (listener: () => void): (() => void) => {
    const own = (): void => listener()
    this.#listeners.add(own)
    this.#follow()
    return () => {
      this.#listeners.delete(own)
      if (this.#listeners.size === 0) this.#pause()
    }
  }

  /** Shows how far `write` is. Answers `undefined` when it failed: the state says why. */
  async run<R>(write: () => Promise<{ readonly tide: StatusTeller; readonly result: R }>): Promise<R | undefined> {
    const run = this.#begin({ status: 'writing', error: null })
    try {
      const { tide, result } = await write()
      if (run === this.#run) {
        this.#followed = { tide, writes: writesOf(result) }
        this.#look()
        this.#follow()
      }
      return result
    } catch (error) {
      if (run === this.#run) this.#tell({ status: 'failed', error: asError(error) })
      return undefined
    }
  }

  readonly reset = (): void => {
    this.#begin(idle)
  }

  #begin(state: WriteState): number {
    this.#pause()
    this.#followed = null
    this.#run += 1
    this.#tell(state)
    return this.#run
  }

  #follow(): void {
    if (this.#stop !== null || this.#followed === null || this.#listeners.size === 0) return
    // The client tells its status at every step of the replica.
    this.#stop = this.#followed.tide.onStatus(() => this.#look())
    this.#look()
  }

  #pause(): void {
    this.#stop?.()
    this.#stop = null
  }

  #look(): void {
    const writes = this.#followed?.writes ?? []
    const status = order.find((candidate) => writes.some((write) => write.status === candidate)) ?? 'synced'
    if (status !== this.#state.status) this.#tell({ status, error: null })
    const refused = status === 'rejected' ? writes.find((write) => write.status === 'rejected') : undefined
    if (refused !== undefined && this.#state.error === null) void this.#tellWhy(this.#run, refused)
  }

  async #tellWhy(run: number, write: Write): Promise<void> {
    try {
      const { error } = await write.outcome
      if (error !== undefined && run === this.#run && this.#state.status === 'rejected' && this.#state.error === null)
        this.#tell({ status: 'rejected', error: TideError.fromBody(error) })
    } catch {
      // It was discarded, which its status says.
    }
  }

  #tell(state: WriteState): void {
    this.#state = state
    for (const listener of [...this.#listeners]) listener()
  }
}

/** The writes in what a call answered: a write, a row that was inserted, or the writes of a transaction. */
function writesOf(result: unknown): readonly Write[] {
  if (Array.isArray(result)) return result.flatMap(writesOf)
  if (typeof result !== 'object' || result === null) return []
  if ('$write' in result) return writesOf(result.$write)
  return isWrite(result) ? [result] : []
}

function isWrite(value: object): value is Write {
  return 'wait' in value && typeof value.wait === 'function' && 'outcome' in value && 'status' in value
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new TideError('internal', String(error))
}
