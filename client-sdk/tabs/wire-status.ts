import { TideError } from '../../protocol/error.ts'
import type { ConnectionStatus } from '../connection/connection.ts'
import type { Answer, WireStatus } from './tab-messages.ts'

export function toWireStatus({ error, ...status }: ConnectionStatus): WireStatus {
  return error === undefined ? status : { ...status, error: error.toBody() }
}

export function fromWireStatus({ error, ...status }: WireStatus): ConnectionStatus {
  return error === undefined ? status : { ...status, error: TideError.fromBody(error) }
}

export function refusalOf(error: unknown): Answer {
  return error instanceof TideError ? { refusal: error.toBody() } : { failure: String(error) }
}

export function errorOf(answer: Exclude<Answer, { readonly result: unknown }>): TideError {
  return 'refusal' in answer ? TideError.fromBody(answer.refusal) : new TideError('internal', answer.failure)
}
