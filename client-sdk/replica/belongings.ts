import { filterLimits } from '../../protocol/rows/filter.ts'
import { rowId as idOf, type Row, type Value } from '../../protocol/rows/row.ts'
import { keyOf, type RowRef } from '../outbox/row-key.ts'
import type { Tables } from '../store/holding.ts'
import type { ReplicaStore } from '../store/store.ts'
import { knowRows } from './know-rows.ts'
import type { Step } from './step.ts'
import type { CheckedDraft } from './write-draft.ts'

/**
 * Most rows that the deletes and restores of one call take along before the server has. Each keeps its image beside it,
 * so what has more shows only the row itself, until the server has done the rest.
 */
export const mostTaken = 2_000

/** A column by which rows of a table belong to those of another. */
interface BelongingKey {
  /** SQL name of the table that has the column. */
  readonly table: string
  /** camelCase property. */
  readonly column: string
  /** SQL name of the table whose rows it names. */
  readonly parent: string
}

/**
 * What belongs to the rows that one call deletes or restores: a delete takes it along, a restore brings it back. The
 * server does the same in SQL (`server/scope/cascade.ts`). Read before the writes are planned, for planning reads
 * nothing.
 */
export class Belongings {
  readonly #step: Step
  readonly #keys: readonly BelongingKey[]
  /** Rows by the key and the row that they belong to, as the store shows them. */
  readonly #found = new Map<string, RowRef[]>()
  readonly #seen = new Set<string>()
  /** Rows that the call itself writes: what they belong to may change with it. */
  readonly #drafted: readonly RowRef[]
  #isTooMany = false

  private constructor(step: Step, keys: readonly BelongingKey[], drafts: readonly CheckedDraft[]) {
    this.#step = step
    this.#keys = keys
    this.#drafted = drafts.map(({ table, rowId }) => ({ table: table.name, rowId }))
  }

  /** Reads nothing unless a draft deletes or restores a row of a table that others belong to. */
  static async read(
    step: Step,
    tables: Tables,
    store: ReplicaStore,
    drafts: readonly CheckedDraft[],
  ): Promise<Belongings> {
    const roots = drafts
      .filter(({ op, table }) => (op === 'delete' || op === 'restore') && 'deletedAt' in table.columns)
      .map(({ table, rowId }) => ({ table: table.name, rowId }))
    const belongings = new Belongings(step, roots.length === 0 ? [] : keysOf(tables), drafts)
    await belongings.#readAll(store, roots)
    return belongings
  }

  /** The rows that a delete or a restore of this row takes along; `row` is how it is shown before. */
  takenBy({ table, rowId, op }: { readonly op: string } & RowRef, row: Row | null): readonly RowRef[] {
    if (this.#isTooMany || (op !== 'delete' && op !== 'restore')) return []
    const deletedAt = row?.['deletedAt'] ?? null
    if (op === 'restore' && deletedAt === null) return []
    const taken = new Map<string, RowRef>()
    const open: RowRef[] = [{ table, rowId }]
    for (let parent = open.pop(); parent !== undefined; parent = open.pop()) {
      for (const child of this.#childrenOf(parent)) {
        if (taken.has(keyOf(child)) || !this.#goes(child, deletedAt)) continue
        taken.set(keyOf(child), child)
        open.push(child)
      }
    }
    return [...taken.values()]
  }

  /** A delete takes what is not deleted (`deletedAt` null), a restore what its delete took. */
  #goes(child: RowRef, deletedAt: Value): boolean {
    const row = this.#step.visible(child)
    if (row === null || (row['deletedAt'] ?? null) !== deletedAt) return false
    // What belongs to a row as well that was deleted apart stays deleted.
    return deletedAt === null || this.#parentsOf(child.table, row).every((parent) => this.#isOf(parent, deletedAt))
  }

  #isOf(parent: RowRef, deletedAt: Value): boolean {
    const other = this.#step.isKnown(parent) ? (this.#step.visible(parent)?.['deletedAt'] ?? null) : null
    return other === null || other === deletedAt
  }

  #childrenOf(parent: RowRef): readonly RowRef[] {
    return this.#keys
      .filter((key) => key.parent === parent.table)
      .flatMap(({ table, column }) => {
        const known = this.#found.get(placeOf(table, column, parent.rowId)) ?? []
        const drafted = this.#drafted.filter((ref) => ref.table === table)
        return [...known, ...drafted].filter((ref) => this.#step.visible(ref)?.[column] === parent.rowId)
      })
  }

  #parentsOf(table: string, row: Row): readonly RowRef[] {
    return this.#keys
      .filter((key) => key.table === table)
      .flatMap(({ parent, column }) => {
        const rowId = row[column]
        return typeof rowId === 'string' ? [{ table: parent, rowId }] : []
      })
  }

  /** Level by level, from the rows of the drafts down. */
  async #readAll(store: ReplicaStore, roots: readonly RowRef[]): Promise<void> {
    const times = roots.map((ref) => this.#step.visible(ref)?.['deletedAt']).filter((at) => typeof at === 'string')
    for (let level = roots; level.length > 0 && !this.#isTooMany;) {
      const next: RowRef[] = []
      for (const [parent, refs] of Map.groupBy(level, ({ table }) => table))
        for (const key of this.#keys.filter((one) => one.parent === parent))
          for (const ids of chunks(refs)) next.push(...(await this.#readLevel(store, key, ids, [...new Set(times)])))
      level = next
    }
  }

  /** Answers the rows that are met for the first time. */
  async #readLevel(
    store: ReplicaStore,
    { table, column }: BelongingKey,
    ids: readonly string[],
    times: readonly string[],
  ): Promise<readonly RowRef[]> {
    if (this.#isTooMany) return []
    const state = times.length === 0 ? {} : { or: [{ deletedAt: null }, { deletedAt: { in: times } }] }
    const where = { [column]: { in: ids }, ...state }
    const rows = await store.query(table, { where, withDeleted: times.length > 0, limit: mostTaken + 1 })
    const fresh: RowRef[] = []
    for (const row of rows) {
      const ref = { table, rowId: idOf(row) }
      const place = placeOf(table, column, String(row[column]))
      const there = this.#found.get(place) ?? []
      there.push(ref)
      this.#found.set(place, there)
      if (!this.#seen.has(keyOf(ref))) fresh.push(ref)
      this.#seen.add(keyOf(ref))
    }
    this.#isTooMany = this.#seen.size > mostTaken
    if (this.#isTooMany) return []
    await knowRows(this.#step, store, fresh)
    if (times.length > 0)
      await knowRows(
        this.#step,
        store,
        rows.flatMap((row) => this.#parentsOf(table, row)),
      )
    return fresh
  }
}

/** Ids in lists that a filter may have. */
function chunks(refs: readonly RowRef[]): readonly (readonly string[])[] {
  const ids = refs.map(({ rowId }) => rowId)
  const { list } = filterLimits
  return Array.from({ length: Math.ceil(ids.length / list) }, (_, index) => ids.slice(index * list, (index + 1) * list))
}

function placeOf(table: string, column: string, parent: string): string {
  return `${table}/${column}/${parent}`
}

/** Tables that only go up have no rows here to take along. */
function keysOf(tables: Tables): readonly BelongingKey[] {
  return [...tables.values()]
    .filter(({ direction }) => direction !== 'up')
    .flatMap((table) =>
      Object.entries(table.columns).flatMap(([column, { belongs, references }]) =>
        belongs === true && references !== undefined && tables.has(references)
          ? [{ table: table.name, column, parent: references }]
          : [],
      ),
    )
}
