import type { Clock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import { messageFrame } from '../../protocol/parse.ts'
import { oldestSupported, protocolVersion } from '../../protocol/protocol-version.ts'
import type { Limits } from '../config.ts'
import type { HubSession } from '../hub/hub.ts'
import type { DevicePrincipal } from '../scope/principal.ts'

export interface WelcomeOptions {
  readonly clock: Clock
  readonly limits: Limits
  readonly schemaHash: string
}

export interface Greeted {
  readonly principal: DevicePrincipal
  readonly hub: HubSession
  /** Highest counter of the device that was ever answered. */
  readonly clientSeq: number
  /** Of its token, milliseconds since 1970. */
  readonly expiresAt: number
}

/** Throws `protocol_unsupported` when this server does not speak the version of a `hello`. */
export function checkProtocol(version: number): void {
  if (version >= oldestSupported && version <= protocolVersion) return
  throw new TideError(
    'protocol_unsupported',
    `The client speaks protocol ${version}; this server speaks ${oldestSupported} to ${protocolVersion}.`,
  )
}

/** What a client is told first: who it is here, where it goes on, and what it may do. */
export function welcomeFrame(
  { clock, limits, schemaHash }: WelcomeOptions,
  { principal, hub, clientSeq, expiresAt }: Greeted,
): Uint8Array {
  return messageFrame({
    type: 'welcome',
    protocol: protocolVersion,
    schemaHash,
    epoch: hub.epoch,
    resume: hub.resume,
    organizationId: principal.organizationId,
    principal: { kind: principal.kind, id: principal.id },
    deviceId: principal.deviceId,
    clientSeq,
    serverTime: clock.now(),
    tokenExpiresAt: expiresAt,
    limits: {
      messageBytes: limits.messageBytes,
      subscriptions: limits.subscriptions,
      pushMutations: limits.pushMutations,
      windowBatches: limits.windowBatches,
    },
  })
}
