import { TideError } from '../../protocol/error.ts'
import { resolutionSchema } from '../../protocol/messages/mutation.ts'
import type { Patch, Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'
import { canonicalValue } from '../../protocol/rows/value.ts'
import { isRowId } from '../../lib/uuid.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { conflictTable } from '../conflict/conflict.ts'
import type { Tables } from '../store/holding.ts'
import { systemColumns } from './rebase.ts'
import type { CheckedDraft, WriteDraft } from './write-draft.ts'

export interface CheckTools {
  readonly tables: Tables
  readonly newId: () => string
  readonly organizationId: string | null
}

/**
 * Checks a draft against the descriptors alone, without looking at any row, and canonicalises its values. What passes
 * may still be refused by the server: rights, references, uniqueness and status moves are its business. Throws
 * `TideError` `unknown_table`, `unknown_column`, `forbidden`, `invalid_value`, `offline`.
 */
export function checkDraft(draft: WriteDraft, tools: CheckTools): CheckedDraft {
  const table = tools.tables.get(draft.table)
  if (table === undefined)
    throw new TideError('unknown_table', `There is no synced table ${JSON.stringify(draft.table)}.`)
  checkDirection(table, draft.op)
  const set = draft.op === 'resolve' ? checkResolution(draft) : checkSet(table, draft)
  const inc = draft.op === 'increment' ? checkAmounts(table, draft.inc ?? {}) : {}
  return { table, rowId: rowIdOf(table, draft, set, tools), op: draft.op, set, inc }
}

function checkDirection(table: TableDescriptor, op: WriteDraft['op']): void {
  if (table.direction === 'ro' || table.policy === 'server')
    throw new TideError('forbidden', `Only the server writes to ${table.name}.`)
  const isConflict = table.name === conflictTable
  if (isConflict !== (op === 'resolve')) {
    const remedy = isConflict ? 'Resolve the conflict.' : 'Give the id of a row of sync_conflicts.'
    throw new TideError('forbidden', `Rows of ${table.name} cannot be changed by ${op}.`, { remedy })
  }
  if (table.direction === 'up' && op !== 'insert')
    throw new TideError('forbidden', `Rows of ${table.name} can be inserted and nothing else.`)
  if ((op === 'delete' || op === 'restore') && !('deletedAt' in table.columns)) {
    throw new TideError('forbidden', `Rows of ${table.name} cannot be deleted or restored.`)
  }
}

/** Values of a patch, canonical. Throws `TideError` `unknown_column`, `invalid_value`. */
export function checkValues(
  table: TableDescriptor,
  values: Readonly<Record<string, unknown>>,
  op: WriteDraft['op'] = 'patch',
  isOpen = false,
): Patch {
  const set: Record<string, Value> = {}
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) set[name] = canonical(table, writableColumn(table, name, op, isOpen), value)
  }
  return set
}

function checkSet(table: TableDescriptor, draft: WriteDraft): Patch {
  const set = checkValues(table, draft.set ?? {}, draft.op, draft.isOpen)
  if (draft.op === 'insert') checkComplete(table, set)
  if (draft.op === 'patch' && Object.keys(set).length === 0) {
    throw new TideError('invalid_value', `The patch of ${table.name} ${String(draft.rowId)} names no column.`, {
      remedy: 'Name at least one column to change.',
    })
  }
  return set
}

function writableColumn(table: TableDescriptor, name: string, op: WriteDraft['op'], isOpen: boolean): ColumnDescriptor {
  const column = Object.hasOwn(table.columns, name) ? table.columns[name] : undefined
  if (column === undefined)
    throw new TideError('unknown_column', `Table ${table.name} has no column ${JSON.stringify(name)}.`)
  if (column.class === 'server' || systemColumns.has(name))
    throw new TideError('unknown_column', `${table.name}.${name} is filled by the server.`)
  if (op === 'insert') return column
  if (column.class === 'fixed' && !(isOpen && column.references === undefined))
    throw new TideError('unknown_column', `${table.name}.${name} is set at the insert and never again.`)
  if (column.class === 'counter') {
    throw new TideError('unknown_column', `${table.name}.${name} is a counter and cannot be set.`, {
      remedy: 'Increment it instead.',
    })
  }
  return column
}

function canonical(table: TableDescriptor, column: ColumnDescriptor, value: unknown): Value {
  try {
    return canonicalValue(column, value)
  } catch (error) {
    if (error instanceof TideError)
      throw new TideError(error.code, `${table.name}: ${error.message}`, { remedy: error.remedy })
    throw error
  }
}

function checkComplete(table: TableDescriptor, set: Patch): void {
  for (const [name, column] of Object.entries(table.columns)) {
    const isFilled =
      column.nullable ||
      column.optional ||
      column.default !== undefined ||
      column.class === 'server' ||
      systemColumns.has(name)
    if (isFilled || name in set) continue
    throw new TideError('invalid_value', `${table.name}.${name} must have a value, and the insert has none.`)
  }
}

function checkAmounts(table: TableDescriptor, inc: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const amounts = Object.entries(inc)
  if (amounts.length === 0)
    throw new TideError('invalid_value', `The increment of ${table.name} names no column.`, {
      remedy: 'Name at least one counter.',
    })
  for (const [name, amount] of amounts) {
    const column = Object.hasOwn(table.columns, name) ? table.columns[name] : undefined
    if (column?.class !== 'counter')
      throw new TideError('unknown_column', `${table.name}.${name} is not a counter.`, { remedy: 'Patch it instead.' })
    const isWhole = column.type === 'integer' || column.type === 'bigint'
    if (!Number.isFinite(amount) || (isWhole && !Number.isSafeInteger(amount))) {
      throw new TideError('invalid_value', `${table.name}.${name} cannot be incremented by ${amount}.`)
    }
  }
  return inc
}

function checkResolution(draft: WriteDraft): Patch {
  const parsed = resolutionSchema.safeParse(draft.set)
  if (parsed.success) return parsed.data
  throw new TideError(
    'invalid_value',
    `Conflict ${String(draft.rowId)} cannot be resolved by ${JSON.stringify(draft.set)}.`,
    {
      remedy: 'Take `client` or `server`, or give the merged values.',
    },
  )
}

function rowIdOf(table: TableDescriptor, draft: WriteDraft, set: Patch, tools: CheckTools): string {
  const { naturalKey } = table
  if (draft.op === 'insert' && naturalKey !== undefined) {
    const natural = naturalRowId(table, naturalKey, set, tools.organizationId)
    if (draft.rowId === undefined || draft.rowId === null || draft.rowId === natural) return natural
    throw new TideError(
      'invalid_value',
      `The id ${JSON.stringify(draft.rowId)} is not that of the row of ${table.name}: it follows from ${naturalKey.join(', ')} and is ${natural}.`,
      { remedy: 'Leave the id out.' },
    )
  }
  const id = draft.rowId ?? (draft.op === 'insert' ? tools.newId() : null)
  if (id !== null && isRowId(id)) return id
  throw new TideError(
    'invalid_value',
    `${table.name}.id is ${JSON.stringify(id)}, not a lower-case UUID of version 7.`,
    {
      remedy: draft.op === 'insert' ? 'Leave the id out, or give a UUIDv7.' : 'Give the id of the row.',
    },
  )
}

/**
 * The id that an insert will have, where it follows from the values; null where the SDK or the caller makes it. Throws
 * `TideError` as `checkDraft`.
 */
export function idFromValues(
  table: TableDescriptor,
  values: Readonly<Record<string, unknown>>,
  organizationId: string | null,
): string | null {
  const { naturalKey } = table
  if (naturalKey === undefined) return null
  return naturalRowId(table, naturalKey, checkValues(table, values, 'insert'), organizationId)
}

/** Throws `offline` before the first welcome if the organization is part of the key. */
function naturalRowId(
  table: TableDescriptor,
  naturalKey: readonly string[],
  set: Patch,
  organizationId: string | null,
): string {
  if (organizationId === null && naturalKey.includes('organizationId')) {
    const why = `The id of a row of ${table.name} follows from its organization, which is not known before the first connection.`
    throw new TideError('offline', why, { remedy: 'Connect once; from then on it can be inserted offline too.' })
  }
  const key = naturalKey.map((name) => keyPart(name === 'organizationId' ? organizationId : set[name]))
  return uuidFromKey(table.name, key)
}

function keyPart(value: Value | undefined): string | null {
  return value === null || value === undefined ? null : String(value)
}
