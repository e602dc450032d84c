import { DatabaseError } from 'pg'
import { TideError } from '../../protocol/error.ts'
import type { ErrorCode } from '../../protocol/error-codes.ts'

/**
 * Classes of SQLSTATE whose words are about the server, its connections and the names of things. All others may quote
 * what was written: 22 and 23 the values of a row, P0 whatever a function says.
 */
const harmless = /^(08|25|28|3D|40|42|53|54|55|57|58|TW|XX)/
/** They say which value was not taken. */
const quoting: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'constraint_violated',
  'foreign_key_violated',
  'invalid_value',
  'unique_violated',
])
const deepestCause = 5

/**
 * An error as it may stand in a log, in `/ready` and in a record of what was done: without the values that Postgres
 * quotes in its messages, and the ORM and those who wrap them repeat. Of such an error it says SQLSTATE, table, column
 * and constraint, which is what helps.
 */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${typeof error}`
  const name = error instanceof TideError ? error.code : error.name
  const sql = sqlErrorIn(error)
  if (sql && !(sql instanceof DatabaseError && harmless.test(sql.code ?? '')))
    return sql === error ? about(sql) : `${name}: ${about(sql)}`
  if (error instanceof TideError && quoting.has(error.code)) return error.code
  // JSON.parse quotes what it could not read.
  if (error instanceof SyntaxError) return 'SyntaxError'
  if (sql === error) return `${error.message} (SQLSTATE ${sql.code})`
  return error instanceof TideError || name === 'Error' ? error.message : `${name}: ${error.message}`
}

/** The same, with where it was thrown. */
export function errorStack(error: unknown): string {
  const frames = error instanceof Error ? (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)) : []
  return [errorText(error), ...frames].join('\n')
}

type SqlError = Error & Partial<Record<'code' | 'schema' | 'table' | 'column' | 'constraint', unknown>>

/** The ORM's exceptions carry what the driver's said. */
function sqlErrorIn(error: unknown, depth = 0): (SqlError & { readonly code: string }) | undefined {
  if (!(error instanceof Error) || depth > deepestCause) return undefined
  return isSqlError(error) ? error : sqlErrorIn(error.cause, depth + 1)
}

/** No class begins with E; what sockets say (EPIPE) does. */
function isSqlError(error: Error): error is SqlError & { readonly code: string } {
  return 'code' in error && typeof error.code === 'string' && /^(?!E)[0-9A-Z]{5}$/.test(error.code)
}

function about(error: SqlError): string {
  const where = (['schema', 'table', 'column', 'constraint'] as const).flatMap((part) =>
    typeof error[part] === 'string' ? [`${part} ${error[part]}`] : [],
  )
  return [`SQLSTATE ${String(error.code)}`, ...where].join(', ')
}
