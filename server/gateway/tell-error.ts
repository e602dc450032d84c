import { TideError } from '../../protocol/error.ts'
import { messageFrame } from '../../protocol/parse.ts'
import { errorStack, type Log } from '../telemetry/telemetry.ts'

interface Explaining {
  readonly log: Log
  /** What an error says about the database, if it does. */
  readonly explain?: (error: unknown) => TideError | undefined
}

/** An error that ends nothing and answers nothing. */
export function notice(error: TideError): Uint8Array {
  return messageFrame({ type: 'error', fatal: false, error: error.toBody() })
}

/**
 * What is no TideError and nothing the database said is a bug: it is logged here and told as `internal`, without its
 * text.
 */
export function toTideError(error: unknown, { log, explain }: Explaining): TideError {
  if (error instanceof TideError) return error
  const explained = explain?.(error)
  if (explained) return explained
  log.error('A request failed', { error: errorStack(error) })
  return new TideError('internal', 'The server failed at this request.', { cause: error })
}
