import { pino, type DestinationStream } from 'pino'

/** What a log line may carry beside its message: ids, counts, durations, codes. Never row contents, never secrets. */
export type LogDetails = Readonly<Record<string, unknown>>

/**
 * Three levels with a meaning each. error: a developer must look. info: a change of state an operator wants to know.
 * debug: the rest.
 */
export interface Log {
  error(message: string, details?: LogDetails): void
  info(message: string, details?: LogDetails): void
  debug(message: string, details?: LogDetails): void
}

export type LogLevel = 'error' | 'info' | 'debug' | 'silent'

/** Lines of JSON on `destination` (standard error when absent, so that command output stays clean). */
export function createLog(
  level: LogLevel,
  destination: DestinationStream = pino.destination({ fd: 2, sync: true }),
): Log {
  const logger = pino(
    { level, base: null, redact: ['token', 'secret', 'password', '*.token', '*.secret', '*.password'] },
    destination,
  )
  return {
    error: (message, details) => logger.error({ ...details }, message),
    info: (message, details) => logger.info({ ...details }, message),
    debug: (message, details) => logger.debug({ ...details }, message),
  }
}

/** Says nothing. */
export const silentLog: Log = { error: () => undefined, info: () => undefined, debug: () => undefined }
