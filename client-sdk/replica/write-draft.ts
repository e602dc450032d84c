import type { Patch, Row } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { OutboxEntry } from '../store/store.ts'

/** A write as the caller asks for it, values as JavaScript offers them. */
export interface WriteDraft {
  /** SQL name. */
  readonly table: string
  /** May be left out at an insert: made here. Tables with a natural key take only the id that follows from it. */
  readonly rowId?: string | null
  readonly op: 'insert' | 'patch' | 'increment' | 'delete' | 'restore' | 'resolve'
  /** `resolve`: `{ take: 'client' | 'server' }` or `{ take: 'manual', patch }`. */
  readonly set?: Readonly<Record<string, unknown>>
  readonly inc?: Readonly<Record<string, number>>
  /** A patch of a row that this device is still writing: what is fixed later may change, but for references. */
  readonly isOpen?: boolean
}

/** A draft whose table, columns and values were checked; values are canonical. */
export interface CheckedDraft {
  readonly table: TableDescriptor
  readonly rowId: string
  readonly op: WriteDraft['op']
  readonly set: Patch
  readonly inc: Readonly<Record<string, number>>
  /** Of a write that gives a row the place which one row at a time has: the row that has it here, null for none. */
  readonly holder?: string | null
}

/** What became of a draft. */
export interface Written extends OutboxEntry {
  /** Of an insert: its row, as it shows with this write; null for other writes. */
  readonly row: Row | null
}
