import type pg from 'pg'
import type { Random } from '../../lib/random.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { newId, type Fixture } from '../support/fixtures.ts'

const removed = '2026-11-22T01:42:36.123Z'

export interface People {
  readonly users: readonly string[]
  readonly agents: readonly string[]
  readonly teams: readonly string[]
}

/** Projects of every visibility, things in every scope, and guests who came, left, or own what they see. */
export async function populate(
  pool: pg.Pool,
  it: Fixture,
  random: Random,
): Promise<People & { readonly projects: readonly string[] }> {
  const pick = <T>(items: readonly T[]): T => {
    const item = items[Math.floor(random.next() * items.length)]
    if (item === undefined) throw new Error('There is nothing to pick from.')
    return item
  }
  const chance = (share: number): boolean => random.next() < share
  const add = async (table: string, row: Readonly<Record<string, unknown>>, id = newId()): Promise<string> => {
    await insertRow(pool, table, { id, organization_id: it.organizationId, ...row })
    return id
  }
  const times = async <T>(count: number, make: () => Promise<T>): Promise<readonly T[]> => {
    const made: T[] = []
    for (let number = 0; number < count; number++) made.push(await make())
    return made
  }
  const ifGone = (): Readonly<Record<string, unknown>> => (chance(0.3) ? { deleted_at: removed } : {})

  const users = [it.ownerId, it.memberId, it.viewerId]
  const agents = [it.agentId]
  const slug = (): Readonly<Record<string, unknown>> => ({ name: 'N', slug: `s-${newId()}` })
  const teams = await times(2, () => add('teams', slug()))
  const projects = await times(8, async () => {
    const visibility = pick(['organization', 'team', 'private', 'private'])
    const team = visibility === 'team' && chance(0.7) ? { team_id: pick(teams) } : {}
    const owner = chance(0.4) ? { owner_user_id: pick(users) } : {}
    const project = await add('projects', { ...slug(), visibility, ...team, ...owner })
    // Somebody is always in it: nobody else could follow it.
    const guests = [...users, ...agents, ...teams].filter(() => chance(0.3))
    for (const guest of guests.length === 0 ? [pick(users)] : guests) {
      const named = [users, teams, agents].map((kind) => (kind.includes(guest) ? guest : null))
      const [user_id, team_id, agent_id] = named
      const id = uuidFromKey('project_members', [project, ...named])
      await add('project_members', { project_id: project, user_id, team_id, agent_id, ...ifGone() }, id)
    }
    return project
  })
  const scope = (): Readonly<Record<string, unknown>> => {
    const kind = pick(['organization', 'project', 'project', 'team', 'user', 'agent'])
    const ids: Readonly<Record<string, readonly string[]>> = {
      project: projects,
      team: teams,
      user: users,
      agent: agents,
    }
    const choice = ids[kind]
    return { scope: kind, ...(choice ? { [`${kind}_id`]: pick(choice) } : {}) }
  }
  const conflict = (channel: string): Promise<string> =>
    add('sync_conflicts', {
      channel,
      user_id: pick(users),
      mutation_id: newId(),
      table_name: 'tasks',
      row_id: newId(),
      kind: 'field',
    })
  for (const project of projects) await conflict(`project/${project}`)
  await times(12, async () => {
    const conversation = await add('conversations', { ...scope(), title: 'C' })
    for (const guest of [...users, ...agents].filter(() => chance(0.35))) {
      const named = [users, agents].map((kind) => (kind.includes(guest) ? guest : null))
      const [user_id, agent_id] = named
      const id = uuidFromKey('conversation_participants', [conversation, ...named])
      const row = { conversation_id: conversation, user_id, agent_id, ...ifGone() }
      await add('conversation_participants', row, id)
    }
    await add('messages', { conversation_id: conversation, role: 'user', content: 'hello' })
    await conflict(`conversation/${conversation}`)
  })
  await times(8, async () => {
    const memory = await add('memories', { ...scope(), agent_id: it.agentId, content: `remember ${newId()}` })
    await add('memory_tags', { memory_id: memory, tag: 'kept' }, uuidFromKey('memory_tags', [memory, 'kept']))
    await conflict(`memory/${memory}`)
  })
  return { users, agents, teams, projects }
}
