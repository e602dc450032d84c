import { errorCodes, type ErrorCode } from './error-codes.ts'

/** What an error looks like on the wire and in JSON output. */
export interface ErrorBody {
  readonly code: ErrorCode
  readonly message: string
  readonly remedy: string
  readonly retryAfterMs?: number | undefined
}

export interface TideErrorOptions {
  readonly cause?: unknown
  /** What to do, when something better than the code's usual remedy can be said. */
  readonly remedy?: string
  readonly retryAfterMs?: number | undefined
}

/**
 * The one error class of Tidewire. `code` is for programs, `message` says what happened with which value, `remedy`
 * what to do.
 */
export class TideError extends Error {
  override readonly name = 'TideError'
  readonly code: ErrorCode
  readonly remedy: string
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, options: TideErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.remedy = options.remedy ?? errorCodes[code].remedy
    this.retryAfterMs = options.retryAfterMs
  }

  toBody(): ErrorBody {
    const body = { code: this.code, message: this.message, remedy: this.remedy }
    return this.retryAfterMs === undefined ? body : { ...body, retryAfterMs: this.retryAfterMs }
  }

  static fromBody(body: ErrorBody): TideError {
    const options = body.retryAfterMs === undefined ? {} : { retryAfterMs: body.retryAfterMs }
    return new TideError(body.code, body.message, { remedy: body.remedy, ...options })
  }
}
