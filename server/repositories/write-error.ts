import { TideError } from '../../protocol/error.ts'
import { toProperty } from '../../protocol/rows/table.ts'
import type { CatalogTable } from '../catalog/catalog.ts'
import { databaseTrouble } from '../db/db.ts'
import { toWriteRefusal, type SqlError } from '../db/sql-refusal.ts'
import { CommitFailedError, DatabaseUnavailableError } from '../scope/transaction.ts'

/** Values by property. */
export type Values = Readonly<Record<string, unknown>>

/**
 * An error of Postgres or of the ORM as one with a code that names table, column and value; of one that says nothing
 * about a write, itself.
 */
export function toWriteError(error: unknown, table: CatalogTable, values: Values = {}): unknown {
  if (!isSqlError(error)) return error
  const refusal = toWriteRefusal(error, table.name)
  if (!refusal) return error
  const checked = refusal.columns.length > 0 ? undefined : checkedColumn(error, table)
  const named = checked !== undefined && checked in values ? `: ${checked} is ${shown(table, checked, values)}` : ''
  return new TideError(refusal.code, `${refusal.message.replace(/\.$/, '')}${named}.`, { cause: error })
}

/** What is left of an error when a unit ends: the database's own troubles get their codes. */
export function toUnitError(error: unknown): unknown {
  if (error instanceof TideError) return error
  if (error instanceof CommitFailedError) return commitRefused(error)
  if (error instanceof DatabaseUnavailableError)
    return databaseTrouble(error.cause) ?? new TideError('database_unreachable', error.message, { cause: error })
  if (isSqlError(error) && error.code === '25006')
    return new TideError('forbidden', `Nothing is written here: ${error.message}.`, {
      cause: error,
      remedy: 'Leave out `readOnly` for a unit that writes.',
    })
  return databaseTrouble(error) ?? refused(error) ?? error
}

function refused(error: unknown): TideError | undefined {
  const refusal = isSqlError(error) ? toWriteRefusal(error, 'The database') : undefined
  return refusal && new TideError(refusal.code, refusal.message, { cause: error })
}

function commitRefused(error: CommitFailedError): TideError {
  const refusal = toWriteRefusal(error.refusal, error.refusal.table ?? 'The commit')
  return new TideError(refusal?.code ?? 'internal', refusal?.message ?? error.message, { cause: error })
}

/** The ORM's exceptions carry what the driver's said. */
function isSqlError(error: unknown): error is Error & SqlError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code)
}

/** A CHECK of one column is called `<table>_<column>_check`. */
function checkedColumn({ constraint = '' }: SqlError, table: CatalogTable): string | undefined {
  const column = constraint.slice(table.name.length + 1, -'_check'.length)
  return table.sqlColumns.some(({ name }) => name === column) ? toProperty(column) : undefined
}

function shown(table: CatalogTable, property: string, values: Values): string {
  const column = table.sqlColumns.find((one) => one.property === property)
  if (column?.hidden || column?.sqlType === 'bytea') return '(hidden)'
  const text = JSON.stringify(values[property]) ?? 'undefined'
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
