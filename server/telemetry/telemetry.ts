import { pino, type DestinationStream } from 'pino'

export { formatBytes, type Health, type HealthCheck } from './health.ts'
export type { CountedPool } from './metrics.ts'

export { errorStack, errorText } from './error-text.ts'
export { StatementLog, type StatementFigures, type StatementObserver } from './statement-log.ts'
export { averageSince, type Vitals } from './vitals.ts'
export { Troubles, type Trouble } from './troubles.ts'

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

export type LogFormat = 'auto' | 'json' | 'pretty'

const hidden = ['token', 'secret', 'password', 'authorization', 'cookie']

/**
 * Lines on `destination` (standard error when absent, so that command output stays clean): JSON for programs, or made
 * for people, which `auto` takes in a terminal.
 */
export async function createLog(
  level: LogLevel,
  format: LogFormat = 'auto',
  destination?: DestinationStream,
): Promise<Log> {
  const { isTTY } = process.stderr
  const forPeople = format === 'pretty' || (format === 'auto' && destination === undefined && isTTY)
  const to = destination ?? pino.destination({ fd: 2, sync: true })
  const logger = pino(
    { level, base: null, redact: hidden.flatMap((name) => [name, `*.${name}`]) },
    forPeople ? await madeForPeople(to, isTTY) : to,
  )
  return {
    error: (message, details) => logger.error({ ...details }, message),
    info: (message, details) => logger.info({ ...details }, message),
    debug: (message, details) => logger.debug({ ...details }, message),
  }
}

async function madeForPeople(destination: DestinationStream, colorize: boolean): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty')
  return pretty({ destination, colorize, translateTime: 'HH:MM:ss.l', sync: true })
}

/** Says nothing. */
export const silentLog: Log = { error: () => undefined, info: () => undefined, debug: () => undefined }
