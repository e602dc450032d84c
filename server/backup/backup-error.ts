import { TideError } from '../../protocol/error.ts'

/** A backup file that cannot be restored; `why` completes “The backup …”. */
export function unreadable(why: string, cause?: unknown): TideError {
  return new TideError('backup_unreadable', `The backup ${why}.`, cause === undefined ? {} : { cause })
}

/** A step that failed; `what` is a sentence without its full stop. */
export function failed(what: string, remedy?: string, cause?: unknown): TideError {
  return new TideError('backup_failed', `${what}.`, {
    ...(remedy === undefined ? {} : { remedy }),
    ...(cause === undefined ? {} : { cause }),
  })
}
