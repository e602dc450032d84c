import { TideError } from '../../protocol/error.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { InsertOf, PatchOf } from '../../protocol/rows/row-type.ts'
import type { Patch } from '../../protocol/rows/row.ts'
import type { Amounts, WriteRequest } from './table.ts'

/** The writes of one table inside a transaction: collected, then applied in one step or not at all. */
export interface TransactionTable<T extends TableDescriptor> {
  /** The id of the row to be. Of tables with a natural key it follows from the values. */
  insert(values: InsertOf<T> & { readonly id?: string }): Promise<{ readonly id: string }>
  update(id: string, set: PatchOf<T>): Promise<void>
  increment(id: string, amounts: Amounts<T>): Promise<void>
  delete(id: string): Promise<void>
  restore(id: string): Promise<void>
}

/** Untyped inside of `tx.<table>`: notes what was asked for. Nothing is read or written before the function returns. */
export class TransactionRecorder {
  readonly #table: TableDescriptor
  readonly #requests: WriteRequest[]
  readonly #idOf: (table: TableDescriptor, values: Patch) => string

  constructor(
    table: TableDescriptor,
    requests: WriteRequest[],
    idOf: (table: TableDescriptor, values: Patch) => string,
  ) {
    this.#table = table
    this.#requests = requests
    this.#idOf = idOf
  }

  insert(values: Patch): Promise<{ readonly id: string }> {
    const { id, ...set } = values
    const request = { table: this.#table.name, op: 'insert', set } as const
    try {
      const rowId = id === undefined ? this.#idOf(this.#table, set) : String(id)
      this.#requests.push({ ...request, rowId })
      return Promise.resolve({ id: rowId })
    } catch (error) {
      if (!(error instanceof TideError)) throw error
      // Asked for all the same: whoever does not look at this promise learns from the transaction.
      this.#requests.push({ ...request, rowId: null })
      const refused = Promise.reject<{ readonly id: string }>(error)
      refused.catch(() => undefined)
      return refused
    }
  }

  update(id: string, set: Patch): Promise<void> {
    return this.#note(id, { op: 'patch', set })
  }

  increment(id: string, inc: Readonly<Record<string, number>>): Promise<void> {
    return this.#note(id, { op: 'increment', inc })
  }

  delete(id: string): Promise<void> {
    return this.#note(id, { op: 'delete' })
  }

  restore(id: string): Promise<void> {
    return this.#note(id, { op: 'restore' })
  }

  #note(id: string, request: Omit<WriteRequest, 'table' | 'rowId'>): Promise<void> {
    this.#requests.push({ ...request, table: this.#table.name, rowId: id })
    return Promise.resolve()
  }
}
