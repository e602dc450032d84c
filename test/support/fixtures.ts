// An organization with people in every role, an agent and a project: what most tests need before they begin.
import type pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { insertRow } from '../../server/db/db.ts'
import type { DevicePrincipal, Principal } from '../../server/scope/principal.ts'

export const newId = createUuidSource(systemClock, systemRandom)

export interface Fixture {
  readonly organizationId: string
  readonly ownerId: string
  readonly memberId: string
  readonly viewerId: string
  readonly agentId: string
  /** Visible to the organization; the agent is a member. */
  readonly projectId: string
}

/** Seeds an organization of its own each time it is called. */
export async function seedFixture(pool: pg.Pool): Promise<Fixture> {
  const organizationId = newId()
  const inOrganization = { organization_id: organizationId }
  await insertRow(pool, 'organizations', { id: organizationId, name: 'Fixture', slug: `f-${organizationId}` })
  const [ownerId, memberId, viewerId] = await Promise.all([
    seedUser(pool, organizationId, 'owner'),
    seedUser(pool, organizationId, 'member'),
    seedUser(pool, organizationId, 'viewer'),
  ])
  const agentId = newId()
  await insertRow(pool, 'agent_types', { id: newId(), ...inOrganization, key: 'generic', name: 'Generic' })
  await insertRow(pool, 'agents', {
    id: agentId,
    ...inOrganization,
    owner_user_id: ownerId,
    name: 'scout',
    agent_type: 'generic',
  })
  const projectId = newId()
  await insertRow(pool, 'projects', {
    id: projectId,
    ...inOrganization,
    owner_user_id: ownerId,
    name: 'Fixture',
    slug: 'fixture',
  })
  await insertRow(pool, 'project_members', {
    id: uuidFromKey('project_members', [projectId, null, null, agentId]),
    ...inOrganization,
    project_id: projectId,
    agent_id: agentId,
  })
  return { organizationId, ownerId, memberId, viewerId, agentId, projectId }
}

/** A user with a role in the organization; returns the user's id. */
export async function seedUser(
  pool: pg.Pool,
  organizationId: string,
  role: 'owner' | 'admin' | 'member' | 'viewer',
): Promise<string> {
  const userId = newId()
  const email = `${role}-${userId}@example.com`
  await insertRow(pool, 'users', { id: userId, email, name: role })
  await insertRow(pool, 'organization_members', {
    id: uuidFromKey('organization_members', [organizationId, userId]),
    organization_id: organizationId,
    user_id: userId,
    role,
    display_name: role,
    email,
  })
  return userId
}

/** A registered device of the principal. */
export async function seedDevice(pool: pg.Pool, principal: Principal): Promise<DevicePrincipal> {
  const deviceId = newId()
  const owner = principal.kind === 'user' ? { user_id: principal.id } : { agent_id: principal.id }
  await insertRow(pool, 'devices', {
    id: deviceId,
    organization_id: principal.organizationId,
    ...owner,
    fingerprint: `test-${deviceId}`,
    name: 'test device',
    kind: 'cli',
    storage_engine: 'memory',
  })
  return { ...principal, deviceId }
}
