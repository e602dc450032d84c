import type pg from 'pg'
import { createUuidSource } from '../../lib/uuid.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { inOneTransaction, insertRow } from '../db/db.ts'
import { makeLaunch } from './launch.ts'
import { agentOf } from './row.ts'

/** What the demo is made of, as its callers name it. */
export interface Demo {
  readonly organizationId: string
  readonly projectId: string
  /** False when it was there before. */
  readonly created: boolean
}

const people = [
  { email: 'ada@example.com', name: 'Ada', role: 'owner' },
  { email: 'ben@example.com', name: 'Ben', role: 'member' },
  { email: 'eve@example.com', name: 'Eve', role: 'viewer' },
] as const

const tasks = [
  ['Index the docs', 'in_progress', 'high'],
  ['Write the release notes', 'pending', 'medium'],
  ['Fix the flaky login test', 'pending', 'critical'],
  ['Rotate the signing keys', 'completed', 'high'],
  ['Answer the support backlog', 'pending', 'low'],
  ['Measure the cold start', 'in_progress', 'medium'],
  ['Draft the onboarding mail', 'pending', 'low'],
  ['Review the retry policy', 'in_review', 'high'],
  ['Upgrade the staging database', 'blocked', 'high'],
  ['Translate the error messages', 'pending', 'medium'],
  ['Clean up old branches', 'completed', 'low'],
  ['Plan the offline demo', 'pending', 'medium'],
] as const

const talk = [
  ['user', 'Why does the staging deploy fail?'],
  ['agent', 'It needs the VPN: the database is reachable from the office network only.'],
  ['user', 'Then please write that down where the next person looks.'],
  ['agent', 'Done. I remember it for this project.'],
] as const

const memories = [
  'The staging deploy needs the VPN',
  'Release notes are written for users, in the past tense',
  'Ada prefers short answers with one example',
  'The login test is flaky when the clock jumps',
  'Support mail is answered within one working day',
] as const

export interface DemoOptions {
  readonly clock: Clock
  readonly random: Random
  /** Of embeddings. */
  readonly dimension: number
  /** `small` when absent. */
  readonly extent?: DemoExtent
}

/**
 * `small`: people, an agent, a project with tasks, a conversation and memories. `lively`: something of everything
 * besides: an admin, a team, more agents, and project `launch` with a plan, costs, a pipeline and a conflict.
 * `neighbours`: also organization `harbor`.
 */
export type DemoExtent = 'small' | 'lively' | 'neighbours'

/**
 * Makes organization `demo` with its people, an agent, a project and something to look at. What is there already is
 * left as it is: what somebody changed in it stays.
 */
export async function seedDemo(pool: pg.Pool, deps: DemoOptions): Promise<Demo> {
  return inOneTransaction(pool, async (client) => {
    const demo = (await findDemo(client)) ?? (await makeDemo(client, deps))
    const { extent = 'small' } = deps
    const enlivened = extent !== 'small' && (await makeLively(client, demo, deps))
    const joined = extent === 'neighbours' && (await makeNeighbours(client, deps))
    return { ...demo, created: demo.created || enlivened || joined }
  })
}

async function findDemo(client: pg.ClientBase): Promise<Demo | undefined> {
  const { rows } = await client.query<{ organization: string; project: string | null }>(
    `select o.id as organization, p.id as project from organizations o left join projects p on p.organization_id = o.id and p.slug = 'demo'
     where o.slug = 'demo' and o.deleted_at is null`,
  )
  const [found] = rows
  return found && { organizationId: found.organization, projectId: found.project ?? '', created: false }
}

async function makeDemo(client: pg.ClientBase, { clock, random, dimension }: DemoOptions): Promise<Demo> {
  const uuid = createUuidSource(clock, random)
  const organizationId = uuid()
  const inOrganization = { organization_id: organizationId }
  await insertRow(client, 'organizations', { id: organizationId, name: 'Demo', slug: 'demo' })
  const users = new Map<string, string>()
  for (const person of people) users.set(person.name, await addMember(client, organizationId, person, uuid()))
  const ada = users.get('Ada') ?? ''
  const agentId = uuid()
  await insertRow(client, 'agent_types', { id: uuid(), key: 'researcher', name: 'Researcher', ...inOrganization })
  await insertRow(client, 'agents', {
    id: agentId,
    ...inOrganization,
    ...agentOf('scout', 'researcher', 'Takes tasks of the demo project.'),
    owner_user_id: ada,
  })
  const projectId = uuid()
  const byAda = { ...inOrganization, created_by_user_id: ada }
  await insertRow(client, 'projects', {
    id: projectId,
    ...byAda,
    owner_user_id: ada,
    name: 'Demo',
    slug: 'demo',
    description: 'Something to look at.',
  })
  await insertRow(client, 'project_members', {
    id: uuidFromKey('project_members', [projectId, null, null, agentId]),
    ...inOrganization,
    project_id: projectId,
    agent_id: agentId,
  })
  for (const [index, [title, status, priority]] of tasks.entries()) {
    const completedAt = status === 'completed' ? new Date(clock.now()).toISOString() : null
    await insertRow(client, 'tasks', {
      id: uuid(),
      ...byAda,
      project_id: projectId,
      title,
      status,
      priority,
      position: index,
      completed_at: completedAt,
    })
  }
  await makeConversation(client, { uuid, organizationId, projectId, userId: ada, agentId })
  for (const content of memories) {
    await insertRow(client, 'memories', {
      id: uuid(),
      ...byAda,
      scope: 'project',
      project_id: projectId,
      content,
      source: 'manual',
      memory_type: 'semantic',
      embedding: JSON.stringify(toyEmbedding(content, dimension)),
      embedding_model: 'toy-hash',
      embedding_status: 'ready',
    })
  }
  return { organizationId, projectId, created: true }
}

/** False when it was there before. */
async function makeLively(
  client: pg.ClientBase,
  { organizationId }: Demo,
  { clock, random, dimension }: DemoOptions,
): Promise<boolean> {
  const { rows: known } = await client.query(`select from projects where organization_id = $1 and slug = 'launch'`, [
    organizationId,
  ])
  if (known.length > 0) return false
  const uuid = createUuidSource(clock, random)
  await addMember(client, organizationId, { email: 'cy@example.com', name: 'Cy', role: 'admin' }, uuid())
  const { rows } = await client.query<{ name: string; id: string }>(
    `select u.name, u.id from organization_members m join users u on u.id = m.user_id where m.organization_id = $1
     union all select name, id from agents where organization_id = $1`,
    [organizationId],
  )
  const ids = new Map(rows.map(({ name, id }) => [name, id]))
  const [scoutId = '', embed] = [ids.get('scout'), (text: string) => JSON.stringify(toyEmbedding(text, dimension))]
  await makeLaunch({ client, uuid, now: clock.now(), organizationId, users: ids, scoutId, embed })
  return true
}

/**
 * Organization `harbor`, of which nobody of `demo` sees anything but Cy, who is a viewer there. False when it was there
 * before.
 */
async function makeNeighbours(client: pg.ClientBase, { clock, random }: DemoOptions): Promise<boolean> {
  const { rows: known } = await client.query(`select from organizations where slug = 'harbor'`)
  if (known.length > 0) return false
  const uuid = createUuidSource(clock, random)
  const organizationId = uuid()
  const inOrganization = { organization_id: organizationId }
  await insertRow(client, 'organizations', { id: organizationId, name: 'Harbor', slug: 'harbor' })
  const owner = { email: 'hana@example.com', name: 'Hana', role: 'owner' } as const
  const hana = await addMember(client, organizationId, owner, uuid())
  await addMember(client, organizationId, { email: 'cy@example.com', name: 'Cy', role: 'viewer' }, uuid())
  const projectId = uuid()
  await insertRow(client, 'projects', {
    id: projectId,
    ...inOrganization,
    owner_user_id: hana,
    created_by_user_id: hana,
    name: 'Harbor',
    slug: 'harbor',
  })
  for (const [position, title] of ['Count the boats', 'Paint the crane'].entries())
    await insertRow(client, 'tasks', {
      id: uuid(),
      ...inOrganization,
      created_by_user_id: hana,
      project_id: projectId,
      title,
      position,
    })
  return true
}

interface Person {
  readonly email: string
  readonly name: string
  readonly role: 'owner' | 'admin' | 'member' | 'viewer'
}

/** Answers the id of the user: `newId`, if none has that address yet. */
async function addMember(
  client: pg.ClientBase,
  organizationId: string,
  { email, name, role }: Person,
  newId: string,
): Promise<string> {
  const userId = await userWithEmail(client, email, name, newId)
  await insertRow(client, 'organization_members', {
    id: uuidFromKey('organization_members', [organizationId, userId]),
    organization_id: organizationId,
    user_id: userId,
    role,
    display_name: name,
    email,
  })
  return userId
}

async function userWithEmail(client: pg.ClientBase, email: string, name: string, newId: string): Promise<string> {
  await insertRow(client, 'users', { id: newId, email, name })
  const { rows } = await client.query<{ id: string }>('select id from users where email = $1 and deleted_at is null', [
    email,
  ])
  return rows[0]?.id ?? newId
}

interface Conversation {
  readonly uuid: () => string
  readonly organizationId: string
  readonly projectId: string
  readonly userId: string
  readonly agentId: string
}

async function makeConversation(
  client: pg.ClientBase,
  { uuid, organizationId, projectId, userId, agentId }: Conversation,
): Promise<void> {
  const conversationId = uuid()
  await insertRow(client, 'conversations', {
    id: conversationId,
    organization_id: organizationId,
    created_by_user_id: userId,
    scope: 'project',
    project_id: projectId,
    title: 'The staging deploy',
  })
  for (const [index, [role, content]] of talk.entries()) {
    const sender =
      role === 'user'
        ? { sender_user_id: userId, created_by_user_id: userId }
        : { sender_agent_id: agentId, created_by_agent_id: agentId }
    await insertRow(client, 'messages', {
      id: uuid(),
      organization_id: organizationId,
      conversation_id: conversationId,
      role,
      content,
      position: index + 1,
      ...sender,
    })
  }
}

/** Hashed words: enough to show vector search without a model; the same as in examples/vector-search.ts. */
function toyEmbedding(text: string, dimension: number): readonly number[] {
  const vector = Array.from({ length: dimension }, () => 0)
  for (const word of text.toLowerCase().match(/[a-z]+/g) ?? []) {
    let hash = 0
    for (const letter of word) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0
    vector[hash % dimension] = (vector[hash % dimension] ?? 0) + 1
  }
  return vector
}
