import { TideError } from '../../protocol/error.ts'
import type { Role } from '../../protocol/rows/table.ts'
import { principalKey, type DevicePrincipal, type Principal } from './principal.ts'
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
  agents: ['lifecycle', 'ownerUserId', 'teamId', 'deletedAt'],
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
  /** Null in the one row that has the devices. */
  readonly channel: string | null
  readonly weight: number
  readonly devices: readonly string[] | null
}

/** The channels that somebody may follow, whatever their device; none when they are not active. */
export async function loadChannels(query: SqlQuery, principal: Principal): Promise<Access['channels']> {
  return channelsOf(await readWays(query, principal, []))
}

/** Throws `device_revoked` or `token_invalid` for those who may do nothing at all. */
export function checkActive({ active, refusal = 'token_invalid' }: Access, { kind, id }: Principal): void {
  if (!active) throw new TideError(refusal, `The ${kind} ${id} is not active in this organization.`)
}

/** Evaluates access inside the transaction of `query`. */
export async function loadAccess(query: SqlQuery, principal: DevicePrincipal): Promise<Access> {
  return (await loadAccesses(query, [principal])).get(principal) ?? noAccess
}

/**
 * The same for many, by the objects given. It takes one statement for each principal, however many devices it has.
 * Equal answers are one object.
 */
export async function loadAccesses(
  query: SqlQuery,
  principals: readonly DevicePrincipal[],
): Promise<ReadonlyMap<DevicePrincipal, Access>> {
  const found = new Map<DevicePrincipal, Access>()
  for (const some of Map.groupBy(principals, principalKey).values()) {
    const [first] = some
    if (!first) continue
    const ways = await readWays(query, first, [...new Set(some.map(({ deviceId }) => deviceId))])
    const devices = new Set(ways.flatMap((way) => way.devices ?? []))
    const access: Access = { active: true, channels: channelsOf(ways) }
    for (const principal of some)
      found.set(principal, ways.length === 0 ? inactive : devices.has(principal.deviceId) ? access : revoked)
  }
  return found
}

function readWays(
  query: SqlQuery,
  { kind, organizationId, id }: Principal,
  devices: readonly string[],
): Promise<readonly Way[]> {
  return query<Way>({
    name: `${kind}_access`,
    text: kind === 'user' ? userAccess : agentAccess,
    values: [organizationId, id, devices],
  })
}

function channelsOf(ways: readonly Way[]): Access['channels'] {
  const channels = new Map<string, Role | 'agent'>()
  for (const { channel, weight } of ways)
    if (channel !== null) channels.set(channel, roleWeights.get(weight) ?? 'viewer')
  return channels
}

const inactive: Access = { ...noAccess, refusal: 'token_invalid' }
const revoked: Access = { ...noAccess, refusal: 'device_revoked' }
