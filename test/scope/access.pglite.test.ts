// Who may follow what, role by role.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { loadAccess, type Access } from '../../server/scope/access.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import type { SqlQuery } from '../../server/scope/sql-query.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedDevice, seedFixture, seedUser, type Fixture } from '../support/fixtures.ts'

let db: TestDatabase
let it: Fixture
let member: DevicePrincipal
let agent: DevicePrincipal

beforeAll(async () => {
  db = await createTestDatabase()
})
beforeEach(async () => {
  it = await seedFixture(db.database.pool)
  member = await seedDevice(pool(), { organizationId: it.organizationId, kind: 'user', id: it.memberId })
  agent = await seedDevice(pool(), { organizationId: it.organizationId, kind: 'agent', id: it.agentId })
})
afterAll(() => db.close())

const pool = () => db.database.pool
const query: SqlQuery = ({ text, values }) =>
  pool()
    .query(text, [...(values ?? [])])
    .then(({ rows }) => rows)
const accessOf = (principal: DevicePrincipal): Promise<Access> => loadAccess(query, principal)
const roleIn = async (channel: string, principal = member) => (await accessOf(principal)).channels.get(channel)
const set = (sql: string, ...values: readonly unknown[]) => pool().query(sql, [...values])

async function addTeam(): Promise<string> {
  const id = newId()
  await insertRow(pool(), 'teams', { id, organization_id: it.organizationId, name: 'Team', slug: `t-${id.slice(-12)}` })
  return id
}

async function join(team: string, who: Readonly<Record<string, string>>, role = 'member'): Promise<string> {
  const id = newId()
  await insertRow(pool(), 'team_memberships', { id, organization_id: it.organizationId, team_id: team, ...who, role })
  return id
}

async function addProject(rest: Readonly<Record<string, unknown>>): Promise<string> {
  const id = newId()
  await insertRow(pool(), 'projects', {
    id,
    organization_id: it.organizationId,
    name: 'P',
    slug: `p-${id.slice(-12)}`,
    ...rest,
  })
  return id
}

async function addMember(project: string, who: Readonly<Record<string, string>>, role = 'member'): Promise<string> {
  const id = uuidFromKey('project_members', [
    project,
    who['user_id'] ?? null,
    who['team_id'] ?? null,
    who['agent_id'] ?? null,
  ])
  await insertRow(pool(), 'project_members', {
    id,
    organization_id: it.organizationId,
    project_id: project,
    ...who,
    role,
  })
  return id
}

test('a member follows what is global, its organization, itself, and open projects, in its role', async () => {
  const { active, channels } = await accessOf(member)
  expect(active).toBe(true)
  expect(Object.fromEntries(channels)).toEqual({
    global: 'member',
    [`organization/${it.organizationId}`]: 'member',
    [`user/${it.memberId}`]: 'owner',
    [`project/${it.projectId}`]: 'member',
  })
})

test('an owner also follows the agents that are theirs, and owns their projects', async () => {
  const owner = await seedDevice(pool(), { organizationId: it.organizationId, kind: 'user', id: it.ownerId })
  expect(await roleIn(`agent/${it.agentId}`, owner)).toBe('owner')
  expect(await roleIn(`project/${it.projectId}`, owner)).toBe('owner')
  expect(await roleIn(`agent/${it.agentId}`)).toBeUndefined()
})

test('an agent is an agent wherever it may be', async () => {
  expect(Object.fromEntries((await accessOf(agent)).channels)).toEqual({
    global: 'agent',
    [`organization/${it.organizationId}`]: 'agent',
    [`agent/${it.agentId}`]: 'agent',
    [`project/${it.projectId}`]: 'agent',
  })
})

test('a team and its projects are for its members, in the role they have there', async () => {
  const team = await addTeam()
  const project = await addProject({ visibility: 'team', team_id: team })
  expect(await roleIn(`team/${team}`)).toBeUndefined()
  expect(await roleIn(`project/${project}`)).toBeUndefined()
  const membership = await join(team, { user_id: it.memberId }, 'admin')
  expect(await roleIn(`team/${team}`)).toBe('admin')
  expect(await roleIn(`project/${project}`)).toBe('admin')
  await set('update team_memberships set deleted_at = now() where id = $1', membership)
  expect(await roleIn(`project/${project}`)).toBeUndefined()
})

test('an agent is in the team it works for, and in those it was added to', async () => {
  const [home, other] = [await addTeam(), await addTeam()]
  await set('update agents set team_id = $1 where id = $2', home, it.agentId)
  await join(other, { agent_id: it.agentId })
  expect(await roleIn(`team/${home}`, agent)).toBe('agent')
  expect(await roleIn(`team/${other}`, agent)).toBe('agent')
})

test('a private project is for its owner, its members, and the teams that are its members', async () => {
  const project = await addProject({ visibility: 'private', owner_user_id: it.ownerId })
  expect(await roleIn(`project/${project}`)).toBeUndefined()
  expect(await roleIn(`project/${project}`, agent)).toBeUndefined()
  const team = await addTeam()
  await join(team, { user_id: it.memberId })
  await addMember(project, { team_id: team }, 'viewer')
  await addMember(project, { agent_id: it.agentId })
  expect(await roleIn(`project/${project}`)).toBe('viewer')
  expect(await roleIn(`project/${project}`, agent)).toBe('agent')
})

test('the highest of several roles counts', async () => {
  await addMember(it.projectId, { user_id: it.memberId }, 'admin')
  expect(await roleIn(`project/${it.projectId}`)).toBe('admin')
  await set(`update project_members set role = 'viewer' where user_id = $1`, it.memberId)
  expect(await roleIn(`project/${it.projectId}`)).toBe('member')
})

test('a member who was removed from a private project has lost it', async () => {
  const project = await addProject({ visibility: 'private' })
  const membership = await addMember(project, { user_id: it.memberId })
  expect(await roleIn(`project/${project}`)).toBe('member')
  await set('update project_members set deleted_at = now() where id = $1', membership)
  expect(await roleIn(`project/${project}`)).toBeUndefined()
})

const endings: readonly (readonly [string, string, 'token_invalid' | 'device_revoked'])[] = [
  ['a suspended user', `update users set status = 'suspended' where id = $1`, 'token_invalid'],
  [
    'a suspended membership',
    `update organization_members set status = 'suspended' where user_id = $1`,
    'token_invalid',
  ],
  [
    'a membership that was removed',
    'update organization_members set deleted_at = now() where user_id = $1',
    'token_invalid',
  ],
  [
    'a suspended organization',
    `update organizations set status = 'suspended' where id = (select organization_id from organization_members where user_id = $1)`,
    'token_invalid',
  ],
  ['a revoked device', 'update devices set revoked_at = now() where user_id = $1', 'device_revoked'],
]
for (const [name, sql, refusal] of endings) {
  test(`${name} may follow nothing`, async () => {
    await set(sql, it.memberId)
    const access = await accessOf(member)
    expect(access).toEqual({ active: false, channels: new Map(), refusal })
  })
}

test('an agent that is paused may follow nothing', async () => {
  await set(`update agents set lifecycle = 'paused' where id = $1`, it.agentId)
  expect(await accessOf(agent)).toMatchObject({ active: false, refusal: 'token_invalid' })
})

test('a device of somebody else is no way in', async () => {
  const other = await seedUser(pool(), it.organizationId, 'member')
  expect(await accessOf({ ...member, id: other })).toMatchObject({ active: false, refusal: 'device_revoked' })
})

test('a member of one organization is nobody in another', async () => {
  const other = await seedFixture(pool())
  expect(await accessOf({ ...member, organizationId: other.organizationId })).toMatchObject({ active: false })
  expect([...(await accessOf(member)).channels.keys()]).not.toContain(`project/${other.projectId}`)
})

test('a user of two organizations has in each the role of its membership there', async () => {
  const other = await seedFixture(pool())
  const organizationId = other.organizationId
  await insertRow(pool(), 'organization_members', {
    id: newId(),
    organization_id: organizationId,
    user_id: it.memberId,
    role: 'admin',
  })
  const there = await seedDevice(pool(), { organizationId, kind: 'user', id: it.memberId })
  expect(await roleIn(`organization/${it.organizationId}`)).toBe('member')
  expect(await roleIn(`organization/${organizationId}`, there)).toBe('admin')
  expect(await roleIn(`project/${other.projectId}`, there)).toBe('admin')
  expect(await roleIn(`organization/${organizationId}`)).toBeUndefined()
  expect(await roleIn(`project/${it.projectId}`, there)).toBeUndefined()
})
