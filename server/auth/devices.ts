import type pg from 'pg'
import { Batcher } from '../../lib/batcher.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import { TideError } from '../../protocol/error.ts'
import type { Principal } from '../scope/principal.ts'

interface DeviceRow {
  readonly id: string
  readonly organization_id: string
  readonly fingerprint: string
  readonly user_id: string | null
  readonly agent_id: string | null
  readonly revoked_at: Date | null
  readonly form_factor: 'mobile' | 'desktop'
  readonly client_seq: string
}

/** Who came, and by which session where it was by one. */
export interface Comer extends Principal {
  readonly sessionId?: string | undefined
}

interface Asked {
  readonly principal: Comer
  readonly device: UpOf<'hello'>['device']
}

const find = `
select d.id, d.organization_id, d.fingerprint, d.user_id, d.agent_id, d.revoked_at, d.form_factor,
  coalesce((select max(m.client_seq) from sync_mutations m where m.device_id = d.id), 0) as client_seq
from unnest($1::uuid[], $2::text[]) as asked(organization_id, fingerprint)
join devices d on d.organization_id = asked.organization_id and d.fingerprint = asked.fingerprint and d.deleted_at is null`

const insert = `
insert into devices (id, organization_id, user_id, agent_id, fingerprint, name, kind, storage_engine, last_seen_at)
select id, organization_id, user_id, agent_id, fingerprint, name, kind, storage_engine, $1
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[])
  as fresh(id, organization_id, user_id, agent_id, fingerprint, name, kind, storage_engine)
on conflict do nothing`

/** In order of id, so that two servers that do the same never wait for each other in a circle. */
const touch = `
update devices set last_seen_at = $1
where id in (select id from devices where id = any($2::uuid[]) order by id for update)`

/**
 * $1 sessions, $2 their devices. A session is of the device that came with it last; one that a revoked device comes
 * with has ended. The lock holds a revocation back until it finds the session.
 */
const bindSessions = `
with came as (select * from unnest($1::uuid[], $2::uuid[]) as c(session_id, device_id)),
locked as (
  select id, revoked_at from devices where id in (
    select c.device_id from came c join auth_sessions s on s.id = c.session_id and s.revoked_at is null and s.device_id is distinct from c.device_id
  ) order by id for share
)
update auth_sessions s set device_id = d.id, updated_at = now(),
  revoked_at = case when d.revoked_at is not null then now() end,
  revoke_reason = case when d.revoked_at is not null then 'device revoked' end
from came c join locked d on d.id = c.device_id where s.id = c.session_id and s.revoked_at is null`

export interface RegisteredDevice {
  readonly deviceId: string
  /** Highest counter of this device that was ever answered. */
  readonly clientSeq: number
  readonly formFactor?: 'mobile' | 'desktop'
}

export interface DeviceRegistry {
  /**
   * The device of a `hello`, made when it is new. Errors: `device_principal_mismatch`, `device_revoked`,
   * `device_cloned`.
   */
  register(principal: Comer, hello: Pick<UpOf<'hello'>, 'device' | 'clientSeq'>): Promise<RegisteredDevice>
  /** A device goes on with another session, which ends with it from then on. */
  useSession(deviceId: string, sessionId: string): Promise<void>
}

/**
 * The devices of the database, by organization and fingerprint. Those that come at the same time are registered in one
 * transaction.
 */
export function createDeviceRegistry(deps: {
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly random: Random
}): DeviceRegistry {
  const { pool } = deps
  const newId = createUuidSource(deps.clock, deps.random)
  const batch = new Batcher<Asked, DeviceRow | undefined>(registerAll)

  async function lookUp(asked: readonly Asked[]): Promise<Map<string, DeviceRow>> {
    const { rows } = await pool.query<DeviceRow>({
      name: 'find_devices',
      text: find,
      values: [asked.map(({ principal }) => principal.organizationId), asked.map(({ device }) => device.fingerprint)],
    })
    return new Map(rows.map((row) => [`${row.organization_id}/${row.fingerprint}`, row]))
  }

  async function registerAll(asked: readonly Asked[]): Promise<readonly (DeviceRow | undefined)[]> {
    const known = await lookUp(asked)
    const fresh = asked.filter((one) => !known.has(placeOf(one)))
    const seen = asked.flatMap(({ principal, device }) => {
      const row = known.get(placeOf({ principal, device }))
      return row && isOwnedBy(row, principal) ? [row.id] : []
    })
    if (seen.length > 0)
      await pool.query({ name: 'touch_devices', text: touch, values: [new Date(deps.clock.now()), seen] })
    if (fresh.length > 0) await insertAll(fresh)
    // Looked up again, since another connection of the same device may have been quicker.
    const made = fresh.length > 0 ? await lookUp(fresh) : known
    const rows = asked.map((one) => known.get(placeOf(one)) ?? made.get(placeOf(one)))
    await bind(
      asked.flatMap(({ principal }, at) => {
        const row = rows[at]
        return principal.sessionId !== undefined && row && isOwnedBy(row, principal)
          ? [{ sessionId: principal.sessionId, deviceId: row.id }]
          : []
      }),
    )
    return rows
  }

  async function bind(used: readonly { readonly sessionId: string; readonly deviceId: string }[]): Promise<void> {
    if (used.length === 0) return
    const values = [used.map(({ sessionId }) => sessionId), used.map(({ deviceId }) => deviceId)]
    await pool.query({ name: 'bind_sessions', text: bindSessions, values })
  }

  async function insertAll(fresh: readonly Asked[]): Promise<void> {
    const ownedBy = (kind: Principal['kind']): readonly (string | null)[] =>
      fresh.map(({ principal }) => (principal.kind === kind ? principal.id : null))
    await pool.query({
      name: 'insert_devices',
      text: insert,
      values: [
        new Date(deps.clock.now()),
        fresh.map(() => newId()),
        fresh.map(({ principal }) => principal.organizationId),
        ownedBy('user'),
        ownedBy('agent'),
        fresh.map(({ device }) => device.fingerprint),
        fresh.map(({ device }) => device.name),
        fresh.map(({ device }) => device.kind),
        fresh.map(({ device }) => device.storageEngine),
      ],
    })
  }

  return {
    async register(principal, { device, clientSeq }) {
      const row = await batch.ask({ principal, device })
      if (!row) throw new TideError('internal', `The device ${device.name} vanished while it was registered.`)
      check(row, principal, device.name, clientSeq)
      return { deviceId: row.id, clientSeq: Number(row.client_seq), formFactor: row.form_factor }
    },
    useSession: (deviceId, sessionId) => bind([{ sessionId, deviceId }]),
  }
}

function placeOf({ principal, device }: Asked): string {
  return `${principal.organizationId}/${device.fingerprint}`
}

function isOwnedBy(row: DeviceRow, principal: Principal): boolean {
  return (principal.kind === 'user' ? row.user_id : row.agent_id) === principal.id
}

function check(row: DeviceRow, principal: Principal, name: string, clientSeq: number): void {
  if (!isOwnedBy(row, principal)) {
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
