import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { WriteRefusal } from '../db/sql-refusal.ts'
import { accessColumns } from '../scope/access.ts'
import type { MutationTransaction, Write } from './mutation-store.ts'
import { rejectedOutcome } from './outcome.ts'
import { planMutation } from './plan-mutation.ts'
import type { MutationTime, Plan } from './plan.ts'
import { refuse } from './refusal.ts'
import { withNextSlug } from './slug-suffix.ts'
import type { Workspace } from './workspace.ts'

type Writing = Extract<Plan, { kind: 'writes' }>

interface Pending {
  readonly mutation: Mutation
  readonly plan: Writing
}

/**
 * Carries out the mutations of one push inside its transaction. Writes of rows that have nothing to do with each other
 * wait and go to the database together, in one statement per table and set of columns; whatever touches a waiting row,
 * refers to it or depends on it lets them go first, so that every decision is made on rows as stored.
 */
export class PushRun {
  readonly #transaction: MutationTransaction
  readonly #workspace: Workspace
  readonly #moment: () => MutationTime
  readonly #outcomes = new Map<string, Outcome>()
  /** What mutations of earlier pushes, on which these depend, came to. */
  readonly #earlier: ReadonlyMap<string, Pick<Mutation, 'op'> & { readonly outcome: Outcome }>
  readonly #ops = new Map<string, Mutation['op']>()
  #pending: Pending[] = []
  /** Ids of the pending mutations and of the rows that they write. */
  readonly #pendingIds = new Set<unknown>()

  constructor(parts: {
    readonly transaction: MutationTransaction
    readonly workspace: Workspace
    readonly moment: () => MutationTime
    readonly earlier: ReadonlyMap<string, Pick<Mutation, 'op'> & { readonly outcome: Outcome }>
  }) {
    this.#transaction = parts.transaction
    this.#workspace = parts.workspace
    this.#moment = parts.moment
    this.#earlier = parts.earlier
  }

  /** Runs units one after the other; answers the outcome of every mutation. */
  async run(units: readonly (readonly Mutation[])[]): Promise<ReadonlyMap<string, Outcome>> {
    for (const unit of units) {
      const [only, ...others] = unit
      if (only && others.length === 0) await this.#one(only)
      else await this.#group(unit)
    }
    await this.#flush()
    return this.#outcomes
  }

  async #one(mutation: Mutation): Promise<void> {
    this.#ops.set(mutation.id, mutation.op)
    if (this.#touchesPending(mutation)) await this.#flush()
    const broken = this.#brokenDependency(mutation)
    if (broken !== undefined) {
      const error = refuse('dependency_rejected', `This write builds upon write ${broken}, which was not applied.`)
      this.#outcomes.set(mutation.id, rejectedOutcome(mutation, error))
      return
    }
    const plan = await planMutation(this.#workspace, mutation, this.#moment())
    if (plan.kind === 'answered') {
      this.#outcomes.set(mutation.id, plan.outcome)
      return
    }
    // By itself, and after what waits: what goes with its row may have been written just now.
    if (plan.cascades.length > 0) await this.#flush()
    this.#pending.push({ mutation, plan })
    this.#pendingIds.add(mutation.rowId).add(mutation.id)
    for (const write of plan.writes) this.#pendingIds.add(rowIdOf(write))
    // What follows is authorised by what it leaves.
    if (plan.cascades.length > 0 || plan.writes.some(decidesAccess)) await this.#flush()
  }

  /** All or none: one that is refused or in conflict undoes the others. */
  async #group(unit: readonly Mutation[]): Promise<void> {
    await this.#flush()
    const { culprit } = await this.#transaction.attempt(async () => {
      for (const mutation of unit) {
        await this.#one(mutation)
        const failed = this.#firstFailed(unit)
        if (failed) return { keep: false, culprit: failed }
      }
      await this.#flush()
      const failed = this.#firstFailed(unit)
      return { keep: failed === undefined, culprit: failed }
    })
    if (!culprit) return
    this.#takePending()
    this.#workspace.clear()
    for (const mutation of unit) this.#outcomes.set(mutation.id, groupOutcome(mutation, culprit))
  }

  #firstFailed(unit: readonly Mutation[]): Outcome | undefined {
    const outcomes = unit.flatMap((mutation) => this.#outcomes.get(mutation.id) ?? [])
    return outcomes.find(({ kind }) => kind === 'rejected' || kind === 'conflict')
  }

  #touchesPending({ rowId: id, table, set, dependsOn, op }: Mutation): boolean {
    if (this.#pending.length === 0) return false
    const isPending = (other: unknown): boolean => this.#pendingIds.has(other)
    if (op === 'resolve' || isPending(id) || dependsOn?.some(isPending)) return true
    const { columns = {}, exclusive } = this.#workspace.table(table)?.descriptor ?? {}
    // Who has the place now may be about to get it.
    if (exclusive && set?.[exclusive.flag] === true && this.#pending.some((one) => one.mutation.table === table))
      return true
    return Object.entries(set ?? {}).some(
      ([property, value]) => columns[property]?.references !== undefined && isPending(value),
    )
  }

  /** The mutation on which this one builds and which left nothing to build upon. */
  #brokenDependency({ dependsOn = [] }: Mutation): string | undefined {
    return dependsOn.find((id) => {
      const outcome = this.#outcomes.get(id) ?? this.#earlier.get(id)?.outcome
      const op = this.#ops.get(id) ?? this.#earlier.get(id)?.op
      return outcome?.kind === 'rejected' || (outcome?.kind === 'conflict' && op === 'insert')
    })
  }

  /**
   * Writes what waits. When the database refuses it as a whole, one after the other, so that only the guilty are
   * refused.
   */
  #takePending(): readonly Pending[] {
    const pending = this.#pending
    this.#pending = []
    this.#pendingIds.clear()
    return pending
  }

  async #flush(): Promise<void> {
    const pending = this.#takePending()
    const [first, ...others] = pending
    if (!first) return
    if (others.length === 0) return this.#alone(first)
    const result = await this.#transaction.write(pending.flatMap(({ plan }) => plan.writes))
    if (result.kind === 'refused') {
      for (const entry of pending) await this.#alone(entry)
      return
    }
    let place = 0
    for (const entry of pending) {
      const rows = result.rows.slice(place, place + entry.plan.writes.length)
      place += rows.length
      await this.#settle(entry, rows)
    }
  }

  /** Writes one mutation, with its cascades. A slug that is taken gets a suffix. */
  async #alone(entry: Pending): Promise<void> {
    const write = async (): Promise<{ keep: boolean; refusal: WriteRefusal | undefined }> => {
      const refusal = await this.#writeOne(entry)
      return { keep: refusal === undefined, refusal }
    }
    // Without cascades there is one call of the store, which undoes itself.
    const { refusal } = entry.plan.cascades.length > 0 ? await this.#transaction.attempt(write) : await write()
    if (!refusal) return
    const error = refuse(refusal.code, refusal.message)
    this.#outcomes.set(entry.mutation.id, rejectedOutcome(entry.mutation, error))
  }

  async #writeOne(entry: Pending): Promise<WriteRefusal | undefined> {
    const [first, ...others] = entry.plan.writes
    let writes = entry.plan.writes
    for (let attempt = 1; ; attempt++) {
      const result = await this.#transaction.write(writes)
      if (result.kind === 'written') {
        const refusal = await this.#cascade(entry.plan)
        if (!refusal) await this.#settle(entry, result.rows, attempt > 1)
        return refusal
      }
      const next = first && withNextSlug(first, result.refusal, attempt)
      if (!next) return result.refusal
      writes = [next, ...others]
    }
  }

  async #cascade(plan: Writing): Promise<WriteRefusal | undefined> {
    for (const { table, id, change } of plan.cascades) {
      const result = await this.#transaction.cascade(table, id, change)
      if (typeof result !== 'number') return result
    }
    // Which children changed is not known here; the next decision reads them again.
    if (plan.cascades.length > 0) this.#workspace.clear()
    return undefined
  }

  async #settle({ mutation, plan }: Pending, rows: readonly Row[], renamed = false): Promise<void> {
    const outcome = plan.settle(rows)
    this.#outcomes.set(
      mutation.id,
      renamed ? { ...outcome, kind: 'merged', columns: [...(outcome.columns ?? []), 'slug'] } : outcome,
    )
    if (plan.cascades.length > 0) return
    for (const [index, row] of rows.entries()) {
      const write = plan.writes[index]
      const table = write && this.#workspace.table(write.table)
      if (!table) continue
      const before = write.kind === 'insert' ? null : await this.#workspace.row(write.table, rowId(row))
      await this.#workspace.put(table, row, before)
    }
  }
}

/** Whether it changes who may do what. New rows only add to that, and many may come at once. */
function decidesAccess(write: Write): boolean {
  return write.kind === 'update' && (accessColumns[write.table] ?? []).some((property) => property in write.set)
}

function rowIdOf(write: Write): unknown {
  return write.kind === 'insert' ? write.values['id'] : write.id
}

/** A group has one cause: the mutation that failed says why, the others name it. Nothing of it is in a conflict row. */
function groupOutcome(mutation: Mutation, culprit: Outcome): Outcome {
  if (mutation.id !== culprit.mutationId) {
    return rejectedOutcome(
      mutation,
      refuse('group_refused', `Nothing of the group was applied, because of its write ${culprit.mutationId}.`),
    )
  }
  if (culprit.error) return rejectedOutcome(mutation, culprit.error)
  const columns = culprit.columns ?? []
  const error = refuse(
    'group_refused',
    `Nothing of the group was applied: ${columns.join(', ') || 'the row'} changed on the server meanwhile.`,
  )
  return { ...rejectedOutcome(mutation, error), ...(columns.length > 0 ? { columns } : {}) }
}
