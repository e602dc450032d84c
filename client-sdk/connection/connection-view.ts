import type { TideError } from '../../protocol/error.ts'
import type { Connection, ConnectionStatus } from './connection.ts'
import type { Refusals } from './refusals.ts'

/** What the rest of the SDK needs of a connection, whichever tab of a browser has it. */
export type ConnectionView = Pick<
  Connection,
  | 'status'
  | 'connect'
  | 'disconnect'
  | 'request'
  | 'search'
  | 'verify'
  | 'sendPresence'
  | 'onPresent'
  | 'onStatus'
  | 'onRefused'
  | 'reportError'
> & { readonly refusals: Pick<Refusals, 'all'> }

/** Why the server will not have this client any more; null while it may still come. */
export function stopError({ connection, error }: ConnectionStatus): TideError | null {
  return connection === 'stopped' ? (error ?? null) : null
}
