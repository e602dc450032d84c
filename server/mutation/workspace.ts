import type { Mutation } from '../../protocol/messages/mutation.ts'
import { channelOf } from '../../protocol/rows/channel.ts'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { Catalog, SyncedTable } from '../catalog/catalog.ts'
import type { ExclusiveRule, TableDescriptor } from '../../protocol/rows/table.ts'
import { accessColumns, type Access } from '../scope/access.ts'
import type { Grantee } from '../scope/homes.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { Image } from './authorise.ts'
import { conflictTable } from './conflict-row.ts'
import type { MutationTransaction, Place, ReferenceTarget } from './mutation-store.ts'

/** A referenced row and all channels that carry it. */
export interface Target {
  readonly homes: readonly string[]
  readonly deleted: boolean
}

/**
 * What one transaction knows: rows, the rows they refer to, open conflicts, the principal's access. Read once for a
 * whole push, a table at a time, and kept up to date with what the push itself writes.
 */
export class Workspace {
  readonly principal: DevicePrincipal
  readonly catalog: Catalog
  readonly #transaction: MutationTransaction
  readonly #rows = new Map<string, Map<string, Row | null>>()
  readonly #targets = new Map<string, Map<string, Target | null>>()
  readonly #conflicts = new Map<string, readonly Row[]>()
  readonly #grantees = new Map<string, readonly Grantee[]>()
  readonly #kept = new Map<string, number | null>()
  #access: Access | undefined

  constructor(transaction: MutationTransaction, catalog: Catalog, principal: DevicePrincipal) {
    this.#transaction = transaction
    this.catalog = catalog
    this.principal = principal
  }

  table(name: string): SyncedTable | undefined {
    return this.catalog.synced.get(name)
  }

  /**
   * Reads what the mutations will need, in few statements. Tables and ids in order, so that two pushes do not deadlock.
   */
  async prefetch(mutations: readonly Mutation[]): Promise<void> {
    const rowIds = new Groups()
    const targets = new Groups()
    for (const mutation of mutations) {
      const table = this.table(mutation.table)
      if (!table) continue
      rowIds.add(mutation.table, mutation.rowId)
      for (const [property, value] of Object.entries(mutation.set ?? {})) {
        const references = table.descriptor.columns[property]?.references
        if (references === undefined || typeof value !== 'string') continue
        targets.add(references, value)
        // Locked before it is shared: it will be written.
        if (property === 'supersedesId') rowIds.add(references, value)
      }
    }
    for (const [table, ids] of rowIds.sorted()) {
      await this.#loadRows(table, ids)
      const patched = ids.filter((id) => this.#rows.get(table)?.get(id))
      if (patched.length > 0 && table !== conflictTable) await this.#loadConflicts(table, patched)
      const via = this.table(table)?.descriptor.scope
      if (via?.kind !== 'via') continue
      for (const id of patched) {
        const parent = this.#rows.get(table)?.get(id)?.[via.column]
        if (typeof parent === 'string') targets.add(via.parent, parent)
      }
    }
    for (const [table, ids] of targets.sorted()) await this.#loadTargets(table, ids)
  }

  async access(): Promise<Access> {
    return (this.#access ??= await this.#transaction.access())
  }

  /** The row, locked; null when there is none. */
  async row(table: string, id: string): Promise<Row | null> {
    if (this.#rows.get(table)?.get(id) === undefined) await this.#loadRows(table, [id])
    return this.#rows.get(table)?.get(id) ?? null
  }

  /** A row that another refers to; null when there is none. */
  async target(table: string, id: string): Promise<Target | null> {
    if (this.#targets.get(table)?.get(id) === undefined) await this.#loadTargets(table, [id])
    return this.#targets.get(table)?.get(id) ?? null
  }

  /**
   * Whether the organization has an owner besides this user. Until the end of the transaction nobody else is told so.
   */
  hasOtherOwner(userId: string): Promise<boolean> {
    return this.#transaction.hasOtherOwner(userId)
  }

  /** The row that has a place, other than one. Until the end of the transaction nobody else is told so. */
  holder(table: string, rule: ExclusiveRule, place: Place): Promise<string | null> {
    return this.#transaction.holder(table, rule, place)
  }

  /** How long rows of a log are kept, milliseconds; null: for ever. */
  async keepsFor(table: string): Promise<number | null> {
    const known = this.#kept.get(table)
    if (known !== undefined) return known
    const kept = await this.#transaction.keepsFor(table)
    this.#kept.set(table, kept)
    return kept
  }

  /** The principal's open conflicts about a row. */
  async openConflicts(table: string, id: string): Promise<readonly Row[]> {
    if (!this.#conflicts.has(id)) await this.#loadConflicts(table, [id])
    return this.#conflicts.get(id) ?? []
  }

  /**
   * A row, as it is or as it would be, with the channels that carry it. Throws `invalid_value` for a row without a
   * home.
   */
  async image({ descriptor }: SyncedTable, row: Row): Promise<Image> {
    const { scope } = descriptor
    const channel = scope.kind === 'conflict_home' ? String(row['channel']) : channelOf(descriptor, row)
    if (scope.kind === 'project_home') return { row, homes: [channel, `project/${rowId(row)}`] }
    if (scope.kind === 'row' && descriptor.guests) return this.#shared(descriptor, row, channel)
    if (scope.kind !== 'via') return { row, homes: [channel] }
    // First the channel of the parent itself, which others may find in channels of their own.
    const [own, ...others] = (await this.target(scope.parent, String(row[scope.column])))?.homes ?? []
    const guests = others.filter((home) => home !== own)
    return { row, homes: [channel, ...(own === undefined ? [] : [own, ...others])], guests }
  }

  /** A row of a table whose rows may be shared with some who may change it, beside those who follow its channel. */
  async #shared({ name }: TableDescriptor, row: Row, channel: string): Promise<Image> {
    const id = rowId(row)
    // Nobody was granted what is only being made.
    const exists = this.#rows.get(name)?.get(id) != null
    const grantees = this.#grantees.get(id) ?? (exists ? await this.#transaction.grantees(name, id) : [])
    if (exists) this.#grantees.set(id, grantees)
    const guests = grantees.map((grantee) => grantee.channel).filter((home) => home !== channel)
    const editors = grantees.flatMap((grantee) => (grantee.edits ? [grantee.channel] : []))
    return { row, homes: [channel, ...guests], guests, editors }
  }

  /** Takes in a row as the database stored it. */
  async put(table: SyncedTable, row: Row, before: Row | null): Promise<void> {
    const id = rowId(row)
    setIn(this.#rows, table.name, id, row)
    this.#targets.get(table.name)?.delete(id)
    if (table.name === conflictTable) this.#conflicts.delete(String(row['rowId']))
    const decisive = accessColumns[table.name]
    if (decisive?.some((property) => before === null || before[property] !== row[property])) this.#access = undefined
    if (before === null)
      setIn(this.#targets, table.name, id, { homes: (await this.image(table, row)).homes, deleted: false })
  }

  /** Forgets everything: after a roll-back to a savepoint, or a change whose extent is not known here. */
  clear(): void {
    this.#rows.clear()
    this.#targets.clear()
    this.#conflicts.clear()
    this.#grantees.clear()
    this.#access = undefined
  }

  async #loadRows(table: string, ids: readonly string[]): Promise<void> {
    const rows = await this.#transaction.rows(table, ids)
    for (const id of ids) setIn(this.#rows, table, id, null)
    for (const row of rows) setIn(this.#rows, table, rowId(row), row)
  }

  async #loadTargets(table: string, ids: readonly string[]): Promise<void> {
    const targets = await this.#transaction.references(table, ids)
    for (const id of ids) setIn(this.#targets, table, id, null)
    for (const target of targets) setIn(this.#targets, table, target.id, toTarget(target))
  }

  async #loadConflicts(table: string, rowIds: readonly string[]): Promise<void> {
    const conflicts = await this.#transaction.openConflicts(table, rowIds)
    for (const id of rowIds)
      this.#conflicts.set(
        id,
        conflicts.filter((conflict) => conflict['rowId'] === id),
      )
  }
}

function toTarget({ channel, also = [], deleted }: ReferenceTarget): Target {
  return { homes: [channel, ...also], deleted }
}

function setIn<V>(maps: Map<string, Map<string, V>>, table: string, id: string, value: V): void {
  const ofTable = maps.get(table) ?? new Map<string, V>()
  maps.set(table, ofTable.set(id, value))
}

/** Ids by table. */
class Groups {
  readonly #ids = new Map<string, Set<string>>()

  add(table: string, id: string): void {
    this.#ids.set(table, (this.#ids.get(table) ?? new Set()).add(id))
  }

  sorted(): readonly (readonly [string, readonly string[]])[] {
    return [...this.#ids]
      .map(([table, ids]) => [table, [...ids].toSorted()] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
  }
}
