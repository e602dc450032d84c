import type { ErrorCode } from '../../protocol/error-codes.ts'
import { errorCodes } from '../../protocol/error-codes.ts'
import type { Outcome } from '../../protocol/messages/mutation.ts'

/** Why a mutation is refused, as its outcome says it. Data, not an exception: a refusal is an ordinary ending. */
export type Refusal = NonNullable<Outcome['error']>

export function refuse(code: ErrorCode, message: string, remedy: string = errorCodes[code].remedy): Refusal {
  return { code, message, remedy }
}

/** A value as it may stand in a message: whole when short. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
