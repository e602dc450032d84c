import type { DevicePrincipal } from '../scope/principal.ts'
import type { Access } from '../scope/access.ts'
import type { Grantee } from '../scope/homes.ts'
import type { Cascade } from '../scope/cascade.ts'
import type { Patch, Row, Value } from '../../protocol/rows/row.ts'
import type { ExclusiveRule } from '../../protocol/rows/table.ts'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { WriteRefusal } from '../db/sql-refusal.ts'
import type { Disagreements, Increments } from './decision.ts'

/** One change of one row, decided and authorised. Rows are canonical, columns camelCase. */
export type Write =
  | { readonly kind: 'insert'; readonly table: string; readonly values: Patch }
  | {
      readonly kind: 'update'
      readonly table: string
      readonly id: string
      readonly set: Patch
      readonly inc: Increments
      /** The columns that were merged line by line, and of what. */
      readonly texts?: Disagreements
    }

/** The rows as stored, in the order of the writes; or why nothing at all was written. */
export type WriteResult =
  | { readonly kind: 'written'; readonly rows: readonly Row[] }
  | { readonly kind: 'refused'; readonly refusal: WriteRefusal }

/** One of the places of a table. */
export interface Place {
  readonly organizationId: string
  readonly key: readonly Value[]
  readonly except: string
}

/** A row that another row refers to, as far as deciding needs it. */
export interface ReferenceTarget {
  readonly id: string
  readonly channel: string
  /**
   * Other channels that carry it: those its sub-channel hangs under, or where people meet a row that lives elsewhere.
   */
  readonly also?: readonly string[]
  readonly deleted: boolean
}

/** A stored answer, with what a dependent mutation asks of it. */
export interface StoredOutcome {
  readonly op: Mutation['op']
  readonly outcome: Outcome
}

/**
 * Where a device stands: its counter, the outcomes that were asked for, and which of the counters asked for belong to
 * which mutation.
 */
export interface DeviceLedger {
  /** Highest clientSeq ever answered; survives the ledger's retention. */
  readonly lastClientSeq: number
  readonly outcomes: ReadonlyMap<string, StoredOutcome>
  readonly idsBySeq: ReadonlyMap<number, string>
  /** Of the ids asked for, those that another device has used. */
  readonly foreign?: ReadonlySet<string>
}

export interface LedgerEntry {
  /** The mutation's id; another one for a mutation that is refused because its id is another device's. */
  readonly id: string
  readonly mutation: Mutation
  readonly outcome: Outcome
}

/**
 * One transaction, of one device. Everything read stays as it is until the end as far as the device, the rows of `rows`
 * and the parents of `references` are concerned; everything written is visible to later calls.
 */
export interface MutationTransaction {
  /**
   * Locks the device, so that a repeat of a mutation waits here for the first and then reads its outcome. Throws
   * `TideError` `device_revoked`, `device_principal_mismatch`.
   */
  begin(mutations: readonly Pick<Mutation, 'id' | 'clientSeq' | 'dependsOn'>[]): Promise<DeviceLedger>
  /** What the principal may follow, as of now in this transaction. */
  access(): Promise<Access>
  /** Locks and reads rows, deleted ones included. */
  rows(table: string, ids: readonly string[]): Promise<readonly Row[]>
  /** Reads rows that others refer to, and keeps them from being deleted until the end. */
  references(table: string, ids: readonly string[]): Promise<readonly ReferenceTarget[]>
  /**
   * Whether the organization has an active owner besides this user; transactions that ask this of an organization take
   * turns.
   */
  hasOtherOwner(userId: string): Promise<boolean>
  /** How long rows of a log are kept, milliseconds; null: for ever, as far as their time goes. */
  keepsFor(table: string): Promise<number | null>
  /**
   * The live row that has a place (`exclusive` of its table), other than the row `except`; `key` are the values of its
   * columns `by`. Transactions that ask for one place take turns.
   */
  holder(table: string, rule: ExclusiveRule, place: Place): Promise<string | null>
  /** Those who find a row by a grant, where a grant may allow to change it. */
  grantees(table: string, id: string): Promise<readonly Grantee[]>
  /** Locks and reads the principal's open conflicts about rows of these ids. */
  openConflicts(table: string, rowIds: readonly string[]): Promise<readonly Row[]>
  /** Writes all or, when the database refuses one, none. */
  write(writes: readonly Write[]): Promise<WriteResult>
  /** After a row was deleted or restored: the same for its children, and theirs. Returns how many. */
  cascade(table: string, id: string, change: Cascade): Promise<number | WriteRefusal>
  /** Runs `work` so that what it wrote is undone when it returns `keep: false`. */
  attempt<T extends { readonly keep: boolean }>(work: () => Promise<T>): Promise<T>
  /** Stores outcomes, raises the device's counter, and logs a mark for each mutation. */
  record(entries: readonly LedgerEntry[]): Promise<void>
  /** Logs a mark anew for mutations that were answered before: a device that begins anew has missed the first. */
  markAgain(mutationIds: readonly string[]): Promise<void>
  /** Gives mutations of this device that have their outcomes the counters under which they come now. */
  recount(mutations: readonly Pick<Mutation, 'id' | 'clientSeq'>[]): Promise<void>
}

/** The commit itself was refused, by a constraint that is checked only then. */
export class CommitRefusedError extends Error {
  override readonly name = 'CommitRefusedError'
  readonly refusal: WriteRefusal

  constructor(refusal: WriteRefusal, options: ErrorOptions) {
    super(refusal.message, options)
    this.refusal = refusal
  }
}

/** A statement failed in a way that no check foresaw. Sent again, it would fail again. */
export class StatementFailedError extends Error {
  override readonly name = 'StatementFailedError'
}

/**
 * What the mutations room needs of a database: this room's own seam, with SQL behind it here and maps in simulations.
 */
export interface MutationStore {
  /**
   * Runs `work` in one transaction, committed when it returns and rolled back when it throws. May run it again when the
   * database asks for that (deadlock, serialization, lost connection), so `work` keeps nothing outside. Throws what
   * `work` threw, `CommitRefusedError`, `StatementFailedError`, or `DatabaseUnavailableError` (device-transaction.ts).
   */
  transaction<T>(principal: DevicePrincipal, work: (transaction: MutationTransaction) => Promise<T>): Promise<T>
}
