import { errorText } from '../telemetry/telemetry.ts'
import { TideError } from '../../protocol/error.ts'

const unreachable = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EPIPE',
  'ETIMEDOUT',
])
/**
 * Undefined table, column, function; a type that does not fit what is compared with it; a column generated where none
 * was.
 */
const otherSchema = new Set(['42P01', '42703', '42883', '42804', '428C9'])
const deepestCause = 5

/**
 * What an error of the driver or of Postgres says about the database itself, with what to do; undefined when it is
 * about something else. Looks at causes too.
 */
export function databaseTrouble(error: unknown, depth = 0): TideError | undefined {
  if (!(error instanceof Error) || depth > deepestCause) return undefined
  if (error instanceof TideError && error.code !== 'internal') return undefined
  return classify(error) ?? databaseTrouble(error.cause, depth + 1)
}

function classify(error: Error): TideError | undefined {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const words = error.message || code
  if (code === '53100') return new TideError('storage_full', `The database has no room: ${words}.`, { cause: error })
  if (otherSchema.has(code)) {
    return new TideError('schema_mismatch', `The database is not as this server was made for: ${words}.`, {
      cause: error,
    })
  }
  if (code === '25006') {
    return new TideError('database_unreachable', `The database takes no writes: ${words}.`, {
      cause: error,
      remedy: 'DATABASE_URL must name the primary, and it must not be set read-only.',
    })
  }
  if (code === '57014') return new TideError('timeout', `The database was too slow: ${words}.`, { cause: error })
  // Connection exceptions, operator intervention, too many connections, and what the driver says of sockets.
  // After a panic Postgres ends every connection, whatever the panic was about.
  const panics = 'severity' in error && error.severity === 'PANIC'
  const away = panics || /^(08|53|57P)/.test(code) || unreachable.has(code)
  const broken =
    /connection terminated|connection error|query read timeout|timeout exceeded when trying to connect/i.test(
      error.message,
    )
  if (!away && !broken) return undefined
  return new TideError('database_unreachable', `The database does not answer: ${words}.`, { cause: error })
}

/** Whether the statement failed because a table or column is not there as the server knows it. */
export function isOtherSchema(error: unknown): boolean {
  return databaseTrouble(error)?.code === 'schema_mismatch'
}

/** Whether it keeps everybody from their work, unlike a statement that took too long or named what is not there. */
export function concernsAll({ code }: TideError): boolean {
  return code === 'database_unreachable' || code === 'storage_full'
}

/** As an error with a code, whatever it is. */
export function troubleOf(error: unknown): TideError {
  if (error instanceof TideError) return error
  return databaseTrouble(error) ?? new TideError('internal', errorText(error), { cause: error })
}
