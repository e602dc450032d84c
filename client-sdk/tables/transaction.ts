import { TideError } from '../../protocol/error.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { InsertOf, PatchOf } from '../../protocol/rows/row-type.ts'
import type { Patch } from '../../protocol/rows/row.ts'
import type { Amounts, WriteRequest } from './table.ts'

/**
 * The writes of one table inside a transaction: collected, then applied in one step or not at all. They are checked
 * when the function has returned: what is wrong with one is thrown by `transaction`. Called later they reject with
 * `closed`.
 */
export interface TransactionTable<T extends TableDescriptor> {
  /** The id of the row to be. Of tables with a natural key it follows from the values. */
  insert(values: InsertOf<T> & { readonly id?: string }): Promise<{ readonly id: string }>
  update(id: string, set: PatchOf<T>): Promise<void>
  increment(id: string, amounts: Amounts<T>): Promise<void>
  delete(id: string): Promise<void>
  restore(id: string): Promise<void>
}

/** What a transaction has asked for so far. After its function has returned or thrown nothing can be added. */
export class Requested {
  readonly #requests: WriteRequest[] = []
  #isOver = false

  /** Throws `TideError` `closed` when the transaction is over. */
  push(request: WriteRequest): void {
    if (this.#isOver)
      throw new TideError('closed', `The transaction is over: its ${request.op} of ${request.table} came too late.`, {
        remedy: 'Await everything that the function of the transaction begins.',
      })
    this.#requests.push(request)
  }

  end(): readonly WriteRequest[] {
    this.#isOver = true
    return this.#requests
  }
}

/** Untyped inside of `tx.<table>`: notes what was asked for. Nothing is read or written before the function returns. */
export class TransactionRecorder {
  readonly #table: TableDescriptor
  readonly #requests: Requested
  readonly #idOf: (table: TableDescriptor, values: Patch) => string

  constructor(table: TableDescriptor, requests: Requested, idOf: (table: TableDescriptor, values: Patch) => string) {
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
      const refused = Promise.reject<{ readonly id: string }>(error)
      if (error.code === 'closed') return refused
      // Asked for all the same: whoever does not look at this promise learns from the transaction.
      this.#requests.push({ ...request, rowId: null })
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

  async #note(id: string, request: Omit<WriteRequest, 'table' | 'rowId'>): Promise<void> {
    this.#requests.push({ ...request, table: this.#table.name, rowId: id })
  }
}
