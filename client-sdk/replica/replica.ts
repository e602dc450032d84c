import { TideError } from '../../protocol/error.ts'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { packedToRows } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import { rowId as idOf, type Row } from '../../protocol/rows/row.ts'
import { toSeq } from '../../protocol/seq.ts'
import type { Clock } from '../../lib/clock.ts'
import { Listeners } from '../../lib/listeners.ts'
import { Serial } from '../../lib/serial.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import { conflictTable } from '../conflict/conflict.ts'
import type { RowRef } from '../outbox/row-key.ts'
import { defaultOutbox, type OutboxLimits } from '../outbox/outbox.ts'
import { defaultPushLimits } from '../outbox/select-push.ts'
import { rowSync, type RowSync } from '../outbox/row-sync.ts'
import { tablesOf } from '../store/holding.ts'
import type {
  OutboxEntry,
  ReplicaMeta,
  ReplicaReader,
  ReplicaStore,
  StoredState,
  SubscriptionRecord,
} from '../store/store.ts'
import { knowFallen, knowLost, knowRows } from './know-rows.ts'
import { Mirror } from './mirror.ts'
import { planBatch } from './plan-batch.ts'
import { planCall } from './plan-call.ts'
import { concernsConflicts, planConflicts } from './plan-conflicts.ts'
import { concernsWaiting, planWaiting } from './plan-waiting.ts'
import { isIdentityProblem, planOutcomes, planSettled } from './plan-outcomes.ts'
import { planDiscard, planRetry } from './plan-parked.ts'
import { planPush, type PushTerms } from './plan-push.ts'
import { planPage, planRefetch, planRefused, planSubscribe, planUnsubscribe } from './plan-subscription.ts'
import { isAheadOfUs, planNewIdentity, planWelcome, startOver, type Welcome } from './plan-welcome.ts'
import type { ReceivedBatch, ReceivedPage } from './received.ts'
import { withStates, type ReplicaChange, type WriteEnd } from './replica-change.ts'
import type { ReplicaOptions, WriteOptions } from './replica-options.ts'
import { visitServerRows } from './server-rows.ts'
import { ServerTime } from './server-time.ts'
import { Step, type FinishedStep } from './step.ts'
import type { WriteDraft, Written } from './write-draft.ts'

export type { ReplicaOptions, WriteOptions } from './replica-options.ts'

/**
 * The local copy of what a principal follows, with its own writes laid over. A thin shell: every operation waits its
 * turn, reads what it needs from the store, lets pure functions (`plan-*.ts`, `step.ts`) work out one `StoreCommit`,
 * has the store commit it, lays it on the mirror in memory, and tells the listeners once. If the commit fails, nothing
 * has happened. SPEC.md beside this file numbers what holds at every moment.
 */
export class Replica {
  readonly #store: ReplicaStore
  readonly #clock: Clock
  readonly #time: ServerTime
  readonly #limits: OutboxLimits
  readonly #newId: () => string
  readonly #mirror: Mirror
  readonly #steps = new Serial()
  readonly #listeners = new Listeners<FinishedStep>()
  #terms: PushTerms = { most: defaultPushLimits, answered: 0 }
  #isClosed = false

  private constructor(options: ReplicaOptions, mirror: Mirror) {
    this.#store = options.store
    this.#clock = options.clock
    this.#limits = options.outbox ?? defaultOutbox
    this.#time = new ServerTime(options.clock, mirror.meta.clockAheadMs)
    this.#newId = createUuidSource(this.#time, options.random)
    this.#mirror = mirror
  }

  /** Opens what the store holds; a new store becomes a replica with an identity of its own. */
  static async open(options: ReplicaOptions): Promise<Replica> {
    const mirror = new Mirror(tablesOf(options.schema), await options.store.load(), options.tail)
    const replica = new Replica(options, mirror)
    if (mirror.meta.fingerprint === null)
      await replica.#run(async (step) => step.setMeta({ fingerprint: replica.#newId() }))
    await replica.#loadConflicts()
    await replica.#also((step) => planConflicts(step, mirror, options.store))
    return replica
  }

  get meta(): ReplicaMeta {
    return this.#mirror.meta
  }

  /** The server's time, as far as it is known here, in milliseconds since 1970. */
  now(): number {
    return this.#time.now()
  }

  get subscriptions(): readonly SubscriptionRecord[] {
    return [...this.#mirror.subscriptions.values()]
  }

  /** Nothing more is on its way: every subscription is held, or the server refuses it for good. */
  get isComplete(): boolean {
    return this.#mirror.isComplete
  }

  /** Writes that have not come back yet; parked ones and open conflicts not counted. */
  get pendingCount(): number {
    return this.#mirror.outbox.pendingCount
  }

  /** Open conflicts of this device's writes: rows of sync_conflicts. */
  get openConflicts(): readonly Row[] {
    return this.#mirror.conflicts.rows
  }

  /** Whether anything was written that has never been sent. */
  get hasUnsent(): boolean {
    return this.#mirror.outbox.hasLocal
  }

  /** Highest counter among the writes that were sent and have no answer; 0: there is none. */
  get lastSyncing(): number {
    return this.#mirror.outbox.syncing.at(-1)?.mutation.clientSeq ?? 0
  }

  /** All writes that have not ended, in call order. */
  writes(): readonly OutboxEntry[] {
    return this.#mirror.outbox.entries
  }

  /** How far a row is from the server's. SQL table name. */
  syncOf(table: string, rowId: string): RowSync {
    const ref = { table, rowId }
    return rowSync(this.#mirror.outbox.toldOn(ref), this.#mirror.conflicts.ofRow(ref))
  }

  onChange(listener: (change: ReplicaChange) => void): () => void {
    return this.#listeners.add(({ change }) => listener(change))
  }

  /** Each step with what it did to the store. */
  onStep(listener: (step: FinishedStep) => void): () => void {
    return this.#listeners.add(listener)
  }

  /** Everything but rows, as `load` of a store would give it; ended writes left out. */
  records(): StoredState {
    const { meta, outbox, states, subscriptions } = this.#mirror
    return { meta, outbox: outbox.entries, states: states.all, subscriptions: [...subscriptions.values()] }
  }

  /** How a write ended that is not pending any more; unknown where no ended ones are kept. */
  endOf(id: string): WriteEnd {
    const { tail } = this.#mirror
    return tail.has(id) ? 'synced' : tail.isOn ? 'discarded' : 'unknown'
  }

  /** Runs a read between two steps, so that what it finds and the changes told after it fit together. */
  read<T>(run: (store: ReplicaReader) => Promise<T>): Promise<T> {
    return this.#steps.run(async () => {
      this.#checkOpen()
      return run(this.#store)
    })
  }

  /**
   * Writes, at once and durably: when this resolves, the rows show the writes and no crash loses them. All drafts or
   * none; with `group`, also on the server. Answers an entry per draft. Drafts that fold into an unsent write share its
   * entry; an entry that is `settled` has already ended (a row deleted before its insert was ever sent). Inserts come
   * with their rows: who wrote needs no second read, which could fail. With `caller`, a call that was carried out
   * before answers what it then made, as far as that is still here. Throws `TideError` when a draft cannot be right.
   */
  write(drafts: readonly WriteDraft[], options: WriteOptions = {}): Promise<readonly Written[]> {
    return this.#run((step) => {
      const tools = { newId: this.#newId, now: this.now(), limits: this.#limits, push: this.#terms.most }
      return planCall(step, this.#mirror, this.#store, drafts, { ...options, ...tools })
    })
  }

  /**
   * The next writes to send after counter `after` (0: from the first without an answer), in order, never splitting a
   * group. Writes that were never sent get their counter here, durably, before anybody sends them. What is more than
   * the server takes at once is parked, and those behind it go.
   */
  async nextPush(mutations: number, bytes: number, after = 0): Promise<readonly Mutation[]> {
    const limits = { mutations, bytes }
    for (;;) {
      const push = await this.#run(async (step) => planPush(step, this.#mirror, { after, limits, terms: this.#terms }))
      if (push !== null) return push
    }
  }

  /** The server refused a push for its size: until the next welcome it takes at most so many bytes. */
  lowerPushLimit(bytes: number): void {
    const { most, answered } = this.#terms
    this.#terms = { most: { ...most, bytes: Math.min(bytes, most.bytes) }, answered }
  }

  /** Takes answers. `identityLost`: the server knows this device under another history; see `takeNewIdentity`. */
  applyOutcomes(outcomes: readonly Outcome[]): Promise<{ readonly identityLost: boolean }> {
    return this.#run(async (step) => {
      const conflicts = outcomes.flatMap(({ conflictId }) =>
        conflictId === undefined ? [] : [{ table: conflictTable, rowId: conflictId }],
      )
      if (this.#mirror.tables.has(conflictTable)) await knowRows(step, this.#store, conflicts)
      planOutcomes(step, outcomes, outcomes.some(({ kind }) => kind === 'rejected') ? this.writes() : [])
      return { identityLost: outcomes.some(isIdentityProblem) }
    })
  }

  /** Applies one whole batch: rows, writes, subscriptions and cursor in one commit. */
  applyBatch(batch: ReceivedBatch): Promise<void> {
    return this.#run(async (step) => {
      step.addBulk(await planBatch(step, this.#mirror, this.#store, batch))
    })
  }

  /** Stages a page of a bootstrap; a page nobody waits for is dropped. */
  stagePage(subscription: string, page: ReceivedPage): Promise<void> {
    return this.#run(async (step) => {
      const record = this.#mirror.subscriptions.get(subscription)
      if (record !== undefined && record.state !== 'held') step.addBulk(planPage(step, this.#mirror, record, page))
    })
  }

  /**
   * Takes the server's word on who and where this replica is. `ahead`: the server has counters that were never given
   * out here. Throws `device_principal_mismatch`.
   */
  applyWelcome(welcome: Welcome): Promise<{ readonly ahead: boolean }> {
    return this.#run(async (step) => {
      const { pushMutations, messageBytes } = welcome.limits
      const mutations = Math.min(pushMutations, defaultPushLimits.mutations)
      this.#terms = { most: { mutations, bytes: messageBytes }, answered: welcome.clientSeq }
      await knowLost(step, this.#mirror, this.#store, welcome)
      step.setMeta({ clockAheadMs: this.#time.connected(welcome.serverTime) })
      step.addBulk(planWelcome(step, this.#mirror, welcome, this.#newId))
      return { ahead: isAheadOfUs(this.#mirror, welcome) }
    })
  }

  /** The server's time, in milliseconds since 1970; null: there is no connection any more that could tell it. */
  tellTime(serverTime: number | null): void {
    this.#time.told(serverTime)
  }

  /** Becomes a new device: another copy of this replica has sent under the old identity. */
  takeNewIdentity(): Promise<void> {
    return this.#run(async (step) => planNewIdentity(step, this.#mirror, this.#newId))
  }

  /** Fetches everything anew, because it cannot apply what it is sent. Rows stay until replaced, writes stay. */
  rebuild(): Promise<void> {
    return this.#run(async (step) => step.addBulk(startOver(step, this.#mirror, ['held', 'staging'])))
  }

  /** The server has shown that all up to these writes is here, though it never named them (a lost connection). */
  settle(ids: readonly string[]): Promise<void> {
    return this.#run(async (step) => planSettled(step, ids))
  }

  /** All that was committed before `seq` is here, though no batch said so. Never goes back. */
  advance(seq: number): Promise<void> {
    return this.#run(async (step) => {
      const { cursor } = this.meta
      if (cursor !== null && seq > cursor.seq) step.setMeta({ cursor: { epoch: cursor.epoch, seq: toSeq(seq) } })
    })
  }

  /** Follows from now on; where the server takes only some, before those that nobody asked for in this run. */
  addSubscription(subscription: Subscription): Promise<void> {
    return this.#run(async (step) => step.addBulk(await planSubscribe(step, this.#mirror, this.#store, subscription)))
  }

  /** Stops following, with all of the same key, unless `isLost`; rows that nothing else holds go. */
  removeSubscription(id: string, isLost = false): Promise<void> {
    return this.#run(async (step) => {
      step.addBulk(await planUnsubscribe(step, this.#mirror, this.#store, { id, isLost }))
    })
  }

  isRefused(id: string): boolean {
    return this.#mirror.refused.has(id)
  }

  /** Whether it was asked for since the replica was opened. */
  isWanted(id: string): boolean {
    return this.#mirror.wanted.has(id)
  }

  setRefused(id: string, isRefused: boolean): Promise<void> {
    return this.#run(async (step) => planRefused(step, this.#mirror, id, isRefused))
  }

  /** Fetches one subscription anew, as it differs from the server's. Its rows stay visible until replaced. */
  refetch(id: string): Promise<void> {
    return this.#run(async (step) => step.addBulk(planRefetch(step, this.#mirror, id)))
  }

  /**
   * Visits a subscription's rows as the server last sent them, without pending writes. False: the replica is not at
   * `seq`.
   */
  serverRows(
    subscription: Subscription,
    seq: number,
    tables: readonly string[],
    visit: (table: string, row: Row) => void,
  ): Promise<boolean> {
    return this.#steps.run(async () => {
      this.#checkOpen()
      if (this.meta.cursor?.seq !== seq) return false
      await visitServerRows(this.#mirror, this.#store, subscription, tables, visit)
      return true
    })
  }

  /** Rows of blocks that are no part of the replica (found by a search). */
  unpack(blocks: readonly PackedBlock[]): readonly Row[] {
    return blocks.flatMap((packed) => {
      const table = this.#mirror.tables.get(packed.block.table)
      return table === undefined ? [] : packedToRows(table, packed)
    })
  }

  /** Sends a refused write again as a new one, with what fell with it. Answers the new entries, its own first. */
  retry(id: string): Promise<readonly OutboxEntry[]> {
    return this.#run(async (step) => {
      await knowFallen(step, this.#mirror, this.#store, id)
      return planRetry(step, id, this.writes(), this.#newId, this.now())
    })
  }

  /** Drops a refused or unsent write and what depends on it. Answers the ids of all that were dropped. */
  discard(id: string): Promise<readonly string[]> {
    return this.#run(async (step) => {
      await knowFallen(step, this.#mirror, this.#store, id)
      return planDiscard(step, id, this.writes())
    })
  }

  /** Waits for the running step and refuses all later ones. Does not close the store. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#steps.idle()
    this.#listeners.clear()
  }

  /** One step from beginning to end. */
  #run<T>(work: (step: Step) => Promise<T>): Promise<T> {
    return this.#steps.run(async () => {
      this.#checkOpen()
      const step = new Step(this.#mirror, this.#clock.now())
      const result = await work(step)
      const plan = step.finish()
      await this.#commit(plan)
      const mirror = this.#mirror
      if (concernsConflicts(mirror, plan.change)) await this.#also((also) => planConflicts(also, mirror, this.#store))
      if (concernsWaiting(mirror, plan.change))
        await this.#also((also) => planWaiting(also, mirror, this.#store, this.#newId, this.now()))
      return result
    })
  }

  /** Before any other step; one that a crash cuts off is done when the replica opens. */
  async #also(plan: (step: Step) => Promise<void>): Promise<void> {
    const step = new Step(this.#mirror, this.#clock.now())
    await plan(step)
    await this.#commit(step.finish())
  }

  async #commit({ commit, change }: FinishedStep): Promise<void> {
    if (Object.keys(commit).length === 0) return
    await this.#store.commit(commit)
    this.#mirror.apply(commit)
    const restated = await this.#takeConflicts(change)
    const told = restated.length === 0 ? change : { ...change, states: withStates(change.states, restated) }
    this.#listeners.tell({ commit, change: told })
  }

  /** Follows what a step did to sync_conflicts; answers rows whose `$sync` changed by that. */
  async #takeConflicts(change: ReplicaChange): Promise<readonly RowRef[]> {
    const conflicts = change.tables.get(conflictTable)
    if (conflicts === undefined) return []
    return conflicts.all ? this.#loadConflicts() : this.#mirror.takeConflicts(conflicts.upserts, conflicts.deletes)
  }

  async #loadConflicts(): Promise<readonly RowRef[]> {
    if (!this.#mirror.tables.has(conflictTable)) return []
    const open = await this.#store.query(conflictTable, { where: { status: 'open' } })
    const ids = new Set(open.map(idOf))
    return this.#mirror.takeConflicts(
      open,
      this.openConflicts.map(idOf).filter((id) => !ids.has(id)),
    )
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new TideError('closed', 'The replica is closed.')
  }
}
