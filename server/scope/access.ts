import type { Role } from '../../protocol/rows/table.ts'
import type { DevicePrincipal } from './principal.ts'
import { agentAccess, userAccess } from './access.sql.ts'
import type { SqlQuery } from './sql-query.ts'

/**
 * What a principal may follow, as of one snapshot. Sub-channels (`conversation/<id>`) are not listed: they hang under
 * these, see `homes.ts`.
 */
export interface Access {
  /** False: the user, membership, agent, organization or device is suspended, revoked or gone; `channels` is empty. */
  readonly active: boolean
  /** Followable channels with the role held there. Agents have the pseudo-role `agent`. */
  readonly channels: ReadonlyMap<string, Role | 'agent'>
  /** Why it is not active. */
  readonly refusal?: 'device_revoked' | 'token_invalid'
}

export const noAccess: Access = { active: false, channels: new Map() }

/**
 * Tables that decide who may follow what: a change in one of them may take access away. `accessColumns` are the
 * properties that count, so that other changes of these tables cost nothing.
 */
export const accessColumns: Readonly<Record<string, readonly string[]>> = {
  organizations: ['status', 'deletedAt'],
  organization_members: ['userId', 'role', 'status', 'deletedAt'],
  users: ['status', 'deletedAt'],
  agents: ['lifecycle', 'ownerUserId', 'deletedAt'],
  devices: ['revokedAt', 'deletedAt'],
  teams: ['deletedAt'],
  team_memberships: ['teamId', 'userId', 'agentId', 'role', 'deletedAt'],
  projects: ['visibility', 'teamId', 'ownerUserId', 'deletedAt'],
  project_members: ['projectId', 'userId', 'teamId', 'agentId', 'role', 'deletedAt'],
}

const roleWeights: ReadonlyMap<number, Role | 'agent'> = new Map([
  [0, 'agent'],
  [1, 'viewer'],
  [2, 'member'],
  [3, 'admin'],
  [4, 'owner'],
])

interface Way {
  readonly channel: string
  readonly weight: number
  readonly device: boolean
}

/** Evaluates access inside the transaction of `query`. */
export async function loadAccess(query: SqlQuery, principal: DevicePrincipal): Promise<Access> {
  const { kind, organizationId, id, deviceId } = principal
  const text = kind === 'user' ? userAccess : agentAccess
  const ways = await query<Way>({ name: `${kind}_access`, text, values: [organizationId, id, deviceId] })
  const [first] = ways
  if (!first) return { ...noAccess, refusal: 'token_invalid' }
  if (!first.device) return { ...noAccess, refusal: 'device_revoked' }
  return {
    active: true,
    channels: new Map(ways.map(({ channel, weight }) => [channel, roleWeights.get(weight) ?? 'viewer'])),
  }
}
