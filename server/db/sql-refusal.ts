import type { DatabaseError } from 'pg'
import type { ErrorCode } from '../../protocol/error-codes.ts'
import type { Patch } from '../../protocol/rows/row.ts'
import { toProperty } from '../../protocol/rows/table.ts'

/**
 * What the database said against a write: data, since it becomes the outcome of the mutation. `columns` are camelCase.
 */
export interface WriteRefusal {
  readonly code: Extract<
    ErrorCode,
    'unique_violated' | 'foreign_key_violated' | 'constraint_violated' | 'invalid_value'
  >
  readonly message: string
  readonly table: string
  readonly columns: readonly string[]
}

/** What is read of an error of the driver, or of the ORM, which copies it. */
export type SqlError = Pick<DatabaseError, 'message' | 'code' | 'table' | 'column' | 'constraint' | 'detail'>

/** The row's own primary key: somebody else has inserted it since it was looked for. */
export function isTakenId(error: DatabaseError): boolean {
  return error.code === '23505' && error.constraint === `${error.table}_pkey`
}

/**
 * A key that Postgres keeps to itself, as it does under row-level security: its columns in SQL, and what was written,
 * if that is known.
 */
export interface BrokenKey {
  readonly columns: readonly string[]
  readonly written: Patch
}

/**
 * What a database error says about the write, or undefined when it is about something else. `broken`: where it names no
 * key.
 */
export function toWriteRefusal(error: SqlError, table: string, broken?: BrokenKey): WriteRefusal | undefined {
  const where = error.table ?? table
  const key = /^Key \((.+?)\)=\((.*)\) (.*)$/s.exec(error.detail ?? '')
  const said = (key?.[1] ?? error.column)?.split(', ').map((name) => name.replaceAll('"', ''))
  const columns = (said ?? broken?.columns ?? []).map(toProperty)
  const written = broken?.written ?? {}
  // Such as the organization are the server's own.
  const shown = key ? columns : columns.filter((column) => written[column] !== undefined)
  const named = (shown.length === 0 ? columns : shown).join(', ')
  const values = key?.[2] ?? (shown.length === 0 ? undefined : shown.map((column) => written[column]).join(', '))
  switch (error.code) {
    case '23505':
      return {
        code: 'unique_violated',
        table: where,
        columns,
        message:
          values === undefined
            ? `${where} has another row with the same ${named || 'key'}.`
            : `${where} has another row with ${named} = ${short(values)}.`,
      }
    case '23503':
      return {
        code: 'foreign_key_violated',
        table: where,
        columns,
        message: `${where}.${named}${values === undefined ? '' : ` = ${short(values)}`} refers to no row.`,
      }
    case '23502':
      return { code: 'invalid_value', table: where, columns, message: `${where}.${named} must have a value.` }
    case '23514':
    case '23P01':
      return {
        code: 'constraint_violated',
        table: where,
        columns,
        message: `${where} refuses the row by ${error.constraint ?? 'a rule'}: ${error.message}`,
      }
    case 'P0001':
      return {
        code: 'constraint_violated',
        table: where,
        columns,
        message: `${where} refuses the row: ${error.message}`,
      }
    default:
      // Class 22: the value does not fit the column's type.
      return error.code?.startsWith('22')
        ? { code: 'invalid_value', table: where, columns, message: `${where}: ${error.message}.` }
        : undefined
  }
}

function short(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
