import { TideError } from '../../protocol/error.ts'

/**
 * How databases, file systems and browsers say that there is no room. Postgres on the private file system says beyond
 * its quota: could not extend file "base/5/16774": File too large.
 */
const noRoom = /no space left|ENOSPC|disk full|quota|could not extend file|file too large/i

/** What went wrong with the database of a replica, as users are told it: `replica_full` or `replica_failed`. */
export function storeError(what: string, cause: unknown): TideError {
  if (cause instanceof TideError) return cause
  const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  return new TideError(noRoom.test(why) ? 'replica_full' : 'replica_failed', `${what}: ${why}.`, { cause })
}
