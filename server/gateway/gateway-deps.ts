import type { Clock } from '../../lib/clock.ts'
import type { TideError } from '../../protocol/error.ts'
import type { Auth, DeviceRegistry, DeviceStandings } from '../auth/auth.ts'
import type { Limits } from '../config.ts'
import type { Hub } from '../hub/hub.ts'
import type { Log } from '../telemetry/telemetry.ts'
import type { Admissions } from './admissions.ts'
import type { Expiries } from './expiries.ts'
import type { Presence } from './presence.ts'
import type { ActionCaller, Pusher, Searcher } from './seams.ts'

/** A connection, as others of the same device see it. */
export interface DeviceConnection {
  /** When it was greeted, milliseconds since 1970. */
  readonly openedAt: number
  close(): void
}

/** What all connections of a gateway share. */
export interface GatewayDeps {
  readonly auth: Pick<Auth, 'authenticate'>
  readonly devices: DeviceRegistry
  /** Hears how far each device is. */
  readonly standings?: DeviceStandings
  readonly hub: Pick<Hub, 'open'>
  readonly mutations: Pusher
  readonly search: Searcher
  readonly actions: ActionCaller
  readonly presence: Presence
  /** By device: one that comes back takes the place of its own older connection. */
  readonly byDevice: Map<string, DeviceConnection>
  /** A session of a device has begun here: it takes the place of one on another server too. */
  readonly opened?: (deviceId: string) => void
  readonly expiries: Expiries
  /** Connections of each principal; absent: as many as come. */
  readonly admissions?: Admissions
  readonly clock: Clock
  readonly log: Log
  readonly limits: Limits
  readonly schemaHash: string
  /** What an error says about the database, if it does: told with its code instead of as `internal`. */
  readonly explain?: (error: unknown) => TideError | undefined
  /** Why clients may miss changes now; told to those who come meanwhile. */
  readonly trouble?: () => TideError | undefined
  /**
   * For metrics: a message of this type was heard, an error of this code told; `refused`: before the welcome, which
   * ends the connection.
   */
  readonly count?: (event: 'message' | 'error' | 'refused', label: string) => void
}
