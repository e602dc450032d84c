import type { Connection } from './connection.ts'

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
>
