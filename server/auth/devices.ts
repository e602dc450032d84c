import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import { TideError } from '../../protocol/error.ts'
import { insertRow } from '../db/db.ts'
import type { Principal } from '../scope/principal.ts'

interface DeviceRow {
  readonly id: string
  readonly user_id: string | null
  readonly agent_id: string | null
  readonly revoked_at: Date | null
  readonly client_seq: string
}

const find = `
select d.id, d.user_id, d.agent_id, d.revoked_at,
  coalesce((select max(m.client_seq) from sync_mutations m where m.device_id = d.id), 0) as client_seq
from devices d where d.organization_id = $1 and d.fingerprint = $2 and d.deleted_at is null`

export interface RegisteredDevice {
  readonly deviceId: string
  /** Highest counter of this device that was ever answered. */
  readonly clientSeq: number
}

export interface DeviceRegistry {
  /** The device of a `hello`, made when it is new. Errors: `device_principal_mismatch`, `device_revoked`, `device_cloned`. */
  register(principal: Principal, hello: Pick<UpOf<'hello'>, 'device' | 'clientSeq'>): Promise<RegisteredDevice>
}

/** The devices of the database, by organization and fingerprint. */
export function createDeviceRegistry(deps: {
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly random: Random
}): DeviceRegistry {
  const { pool } = deps
  const newId = createUuidSource(deps.clock, deps.random)

  async function lookUp(principal: Principal, fingerprint: string): Promise<DeviceRow | undefined> {
    const { rows } = await pool.query<DeviceRow>(find, [principal.organizationId, fingerprint])
    return rows[0]
  }

  return {
    async register(principal, { device, clientSeq }) {
      const known = await lookUp(principal, device.fingerprint)
      if (!known) {
        const owner = principal.kind === 'user' ? { user_id: principal.id } : { agent_id: principal.id }
        const { fingerprint, name, kind, storageEngine } = device
        await insertRow(pool, 'devices', {
          id: newId(),
          organization_id: principal.organizationId,
          ...owner,
          fingerprint,
          name,
          kind,
          storage_engine: storageEngine,
          last_seen_at: new Date(deps.clock.now()),
        })
      }
      // Looked up again, since another connection of the same device may have been quicker.
      const row = known ?? (await lookUp(principal, device.fingerprint))
      if (!row) throw new TideError('internal', `The device ${device.name} vanished while it was registered.`)
      check(row, principal, device.name, clientSeq)
      if (known)
        await pool.query('update devices set last_seen_at = $2 where id = $1', [row.id, new Date(deps.clock.now())])
      return { deviceId: row.id, clientSeq: Number(row.client_seq) }
    },
  }
}

function check(row: DeviceRow, principal: Principal, name: string, clientSeq: number): void {
  if ((principal.kind === 'user' ? row.user_id : row.agent_id) !== principal.id) {
    throw new TideError(
      'device_principal_mismatch',
      `The replica of device ${name} belongs to another ${principal.kind === 'user' ? 'user' : 'agent'}.`,
    )
  }
  if (row.revoked_at)
    throw new TideError('device_revoked', `The device ${name} was revoked at ${row.revoked_at.toISOString()}.`)
  if (clientSeq < Number(row.client_seq)) {
    throw new TideError(
      'device_cloned',
      `The replica has given out ${clientSeq} write numbers, but its device has sent ${row.client_seq}: it is an older copy.`,
    )
  }
}
