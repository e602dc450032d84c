import type { deviceKinds, storageEngines } from '../device-kinds.ts'

/** A device of `devices.list`. Times are ISO 8601 in UTC. */
export interface ListedDevice {
  readonly deviceId: string
  /** Whose it is: one of the two. */
  readonly userId: string | null
  readonly agentId: string | null
  readonly name: string
  readonly kind: (typeof deviceKinds)[number]
  readonly storageEngine: (typeof storageEngines)[number]
  /** When it last connected. */
  readonly lastSeenAt: string | null
  readonly revokedAt: string | null
  readonly createdAt: string
}
