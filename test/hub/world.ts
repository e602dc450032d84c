// An organization with people, a team, projects of each visibility and an agent, for runs in which everything that
// decides where rows live and who finds them changes.
import type pg from 'pg'
import { insertRow } from '../../server/db/db.ts'
import type { DevicePrincipal, Principal } from '../../server/scope/principal.ts'
import { newId, seedDevice, seedFixture, seedUser } from '../support/fixtures.ts'

export interface World {
  readonly organizationId: string
  readonly ownerId: string
  /** People whose access changes. */
  readonly memberIds: readonly string[]
  readonly agentId: string
  readonly teamId: string
  readonly projectIds: readonly string[]
  /** Channels that somebody may follow at some time. */
  readonly channels: readonly string[]
  /** Devices: several of one person among them. */
  readonly principals: readonly DevicePrincipal[]
}

/**
 * Tables that the run writes and replicas hold, by SQL name. The order is that in which rows of one need those of
 * others.
 */
export const worldTables = [
  'organization_members',
  'team_memberships',
  'projects',
  'project_members',
  'tasks',
  'task_dependencies',
  'memories',
  'memory_tags',
  'conversations',
  'conversation_participants',
  'messages',
  'knowledge_entries',
  'knowledge_grants',
] as const

export type WorldTable = (typeof worldTables)[number]

/** Makes a world of its own each time it is called. */
export async function seedWorld(pool: pg.Pool): Promise<World> {
  const { organizationId, ownerId, memberId, agentId, projectId } = await seedFixture(pool)
  const other = await seedUser(pool, organizationId, 'member')
  const teamId = newId()
  await insertRow(pool, 'teams', { id: teamId, organization_id: organizationId, name: 'Team', slug: 'team' })
  const projectIds = [projectId, newId(), newId()]
  for (const [index, visibility] of ['team', 'private'].entries())
    await insertRow(pool, 'projects', {
      id: projectIds[index + 1],
      organization_id: organizationId,
      owner_user_id: ownerId,
      team_id: teamId,
      name: visibility,
      slug: visibility,
      visibility,
    })
  const user = (id: string): Principal => ({ organizationId, kind: 'user', id })
  const principals: DevicePrincipal[] = []
  for (const principal of [
    user(memberId),
    user(memberId),
    user(other),
    user(ownerId),
    { organizationId, kind: 'agent', id: agentId } as const,
  ])
    principals.push(await seedDevice(pool, principal))
  return {
    organizationId,
    ownerId,
    memberIds: [memberId, other],
    agentId,
    teamId,
    projectIds,
    channels: [
      `organization/${organizationId}`,
      ...projectIds.map((id) => `project/${id}`),
      `team/${teamId}`,
      ...[ownerId, memberId, other].map((id) => `user/${id}`),
      `agent/${agentId}`,
    ],
    principals,
  }
}
