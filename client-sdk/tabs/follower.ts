import type { Clock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { rowId as idOf } from '../../protocol/rows/row.ts'
import { rowSync } from '../outbox/row-sync.ts'
import type { ConnectionStatus } from '../connection/connection.ts'
import { Mirror } from '../replica/mirror.ts'
import type { ReplicaState } from '../replica/replica-view.ts'
import type { Tables } from '../store/holding.ts'
import { LeaderGone, type Backend, type EngineEvent } from './backend.ts'
import type { Snapshot, TabMessage } from './tab-messages.ts'
import { errorOf, fromWireStatus } from './wire-status.ts'

export interface FollowerParts {
  readonly id: string
  readonly leader: string
  readonly tables: Tables
  readonly clock: Pick<Clock, 'now'>
  readonly snapshot: Snapshot
  readonly post: (message: TabMessage) => void
  readonly tell: (event: EngineEvent) => void
}

interface Asked {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

/**
 * A tab that works through the leader: keeps a copy of all that a replica knows but its rows, and asks for the rest.
 */
export class Follower implements Backend {
  readonly leader: string
  readonly #parts: FollowerParts
  readonly #mirror: Mirror
  readonly #asked = new Map<number, Asked>()
  readonly #refusals: Map<string, TideError>
  #status: ConnectionStatus
  #count = 0
  #isGone = false

  constructor(parts: FollowerParts) {
    this.#parts = parts
    this.leader = parts.leader
    this.#mirror = new Mirror(parts.tables, parts.snapshot.stored)
    this.#status = fromWireStatus(parts.snapshot.status)
    this.#refusals = new Map(parts.snapshot.refusals.map(([id, error]) => [id, TideError.fromBody(error)]))
    this.#takeConflicts(parts.snapshot.conflicts)
  }

  get state(): ReplicaState {
    const mirror = this.#mirror
    return {
      meta: mirror.meta,
      now: () => this.#parts.clock.now() + mirror.meta.clockAheadMs,
      subscriptions: [...mirror.subscriptions.values()],
      pendingCount: mirror.outbox.pendingCount,
      openConflicts: mirror.conflicts.rows,
      writes: () => mirror.outbox.entries,
      syncOf: (table, rowId) => {
        const ref = { table, rowId }
        return rowSync(mirror.outbox.toldOn(ref), mirror.conflicts.ofRow(ref))
      },
    }
  }

  get status(): ConnectionStatus {
    return this.#status
  }

  get refusals(): ReadonlyMap<string, TideError> {
    return this.#refusals
  }

  take(message: TabMessage): void {
    if (message.from !== this.leader || this.#isGone) return
    const { tell, id } = this.#parts
    switch (message.kind) {
      case 'step':
        this.#mirror.apply(message.records)
        if (message.conflicts !== null) this.#takeConflicts(message.conflicts)
        return tell({ kind: 'change', change: message.change })
      case 'status':
        this.#status = fromWireStatus(message.status)
        return tell({ kind: 'status' })
      case 'present':
        return tell({ kind: 'present', message: message.message })
      case 'refused':
        return this.#refused(message.id, message.error === null ? null : TideError.fromBody(message.error))
      case 'answer':
        if (message.to === id) this.#answered(message)
        return
      default:
    }
  }

  call(method: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#isGone) return Promise.reject(new LeaderGone())
    const { post, id: from } = this.#parts
    this.#count += 1
    const id = this.#count
    return new Promise((resolve, reject) => {
      // Fails at once, before anybody waits, when a value cannot cross: a function, say.
      post({ kind: 'call', from, to: this.leader, id, method, args })
      this.#asked.set(id, { resolve, reject })
    })
  }

  /** The leader is gone, or this tab goes: what was asked is not answered any more. */
  end(error: Error): void {
    this.#isGone = true
    const asked = [...this.#asked.values()]
    this.#asked.clear()
    for (const { reject } of asked) reject(error)
  }

  leave(): void {
    const { post, id: from } = this.#parts
    post({ kind: 'leave', from, to: this.leader })
  }

  #answered({ id, answer }: Extract<TabMessage, { kind: 'answer' }>): void {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if ('result' in answer) asked?.resolve(answer.result)
    else asked?.reject(errorOf(answer))
  }

  #refused(id: string, error: TideError | null): void {
    if (error === null) this.#refusals.delete(id)
    else this.#refusals.set(id, error)
    this.#parts.tell({ kind: 'refused', id, error })
  }

  #takeConflicts(open: readonly Row[]): void {
    const ids = new Set(open.map(idOf))
    this.#mirror.takeConflicts(
      open,
      this.#mirror.conflicts.rows.map(idOf).filter((id) => !ids.has(id)),
    )
  }
}
