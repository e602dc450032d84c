// What is private reaches who it is for, and comes and goes with its place and with those it is granted to.
import { connect, type Client } from '@tidewire/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { applyRetention } from '../../server/maintenance/maintenance.ts'
import { newId } from '../support/fixtures.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

let home: TestServer
let clients: Readonly<Record<'owner' | 'member' | 'scout', Client>>

beforeAll(async () => {
  home = await startTestServer()
  const { organizationId, ownerId, memberId, agentId } = home.fixture
  const open = async (name: string, token: Promise<string>): Promise<Client> =>
    connect({ url: home.url, token: await token, replica: { kind: 'memory' }, device: { name, kind: 'cli' } })
  clients = {
    owner: await open('owner', home.userToken(ownerId)),
    member: await open('member', home.userToken(memberId)),
    scout: await open('scout', home.tokenOf({ kind: 'agent', id: agentId, organizationId })),
  }
})
afterAll(async () => {
  await Promise.all(Object.values(clients).map((tide) => tide.close()))
  await home.close()
})

/** Waits until a query finds something, or nothing any more. */
async function until(rows: AsyncIterable<readonly unknown[]>, isHere: boolean): Promise<void> {
  for await (const found of rows) if (found.length > 0 === isHere) return
}

async function add(table: string, row: Readonly<Record<string, unknown>>, id = newId()): Promise<string> {
  await insertRow(home.server.database.pool, table, { id, organization_id: home.fixture.organizationId, ...row })
  return id
}

test('a private entry reaches its owner and whom it is granted to, as long as it is', async () => {
  const { owner, member, scout } = clients
  const { ownerId, memberId } = home.fixture
  const entry = await owner.knowledgeEntries.insert({
    scope: 'user',
    userId: ownerId,
    entryType: 'lesson',
    title: 'Mine',
  })
  await entry.$write.wait('synced')
  const seen = async (tide: Client): Promise<boolean> => (await tide.knowledgeEntries.get(entry.id)) !== undefined
  const grant = await owner.knowledgeGrants.insert({ knowledgeEntryId: entry.id, userId: memberId })
  await until(member.knowledgeEntries.live({ where: { id: entry.id } }), true)
  expect([await seen(owner), await seen(scout)]).toEqual([true, false])
  await owner.knowledgeGrants.delete(grant.id)
  await until(member.knowledgeEntries.live({ where: { id: entry.id } }), false)
  await owner.knowledgeGrants.restore(grant.id)
  await until(member.knowledgeEntries.live({ where: { id: entry.id } }), true)
  await owner.knowledgeGrants.delete(grant.id)
  await until(member.knowledgeEntries.live({ where: { id: entry.id } }), false)
  expect(await seen(owner)).toBe(true)
  for (const tide of [owner, member, scout]) expect(await tide.verify()).toEqual({ equal: true })
})

test('an entry that has expired goes from every replica with the nightly job, and one that never expires stays', async () => {
  const { owner, member } = clients
  const entry = (title: string, expires_at: string | null) =>
    add('knowledge_entries', { scope: 'organization', entry_type: 'lesson', title, expires_at })
  const [gone, stays] = [
    await entry('Old news', new Date(Date.now() + 3_600_000).toISOString()),
    await entry('For ever', null),
  ]
  for (const tide of [owner, member]) {
    await (
      await tide.subscribe({ organization: true })
    ).ready
    for (const id of [gone, stays]) await until(tide.knowledgeEntries.live({ where: { id } }), true)
  }
  const { pool } = home.server.database
  await pool.query(`update knowledge_entries set expires_at = now() - interval '1 hour' where id = $1`, [gone])
  const report = await applyRetention({ pool, catalog: loadCatalog(), archiveDir: '/nonexistent' })
  expect(report).toMatchObject({ status: 'completed', tables: { knowledge_entries: 1 } })
  for (const tide of [owner, member]) {
    await until(tide.knowledgeEntries.live({ where: { id: gone } }), false)
    expect(await tide.knowledgeEntries.get(stays)).toBeDefined()
    expect(await tide.verify()).toEqual({ equal: true })
  }
})

test('an agent’s memory moves to its team and back, and comes to the members and goes, with its tags', async () => {
  const { owner, member, scout } = clients
  const { ownerId, memberId, agentId } = home.fixture
  const team = await add('teams', { name: 'Crew', slug: 'crew' })
  for (const user of [ownerId, memberId]) await add('team_memberships', { team_id: team, user_id: user })
  await add('team_memberships', { team_id: team, agent_id: agentId })
  // The agent's owner follows its own agents.
  const followed = [
    await owner.subscribe({ agent: agentId }),
    await owner.subscribe({ team }),
    await member.subscribe({ team }),
    await scout.subscribe({ team }),
  ]
  await Promise.all(followed.map(({ ready }) => ready))
  const memory = await scout.memories.insert({ scope: 'agent', agentId, content: 'The deploy needs the VPN' })
  const tag = await scout.memoryTags.insert({ memoryId: memory.id, tag: 'deploy' })
  await tag.$write.wait('synced')
  await until(owner.memoryTags.live({ where: { id: tag.id } }), true)
  expect(await member.memories.get(memory.id)).toBeUndefined()
  for (const round of [1, 2]) {
    await scout.memories.update(memory.id, { scope: 'team', teamId: team, title: `Shared ${round}` })
    await until(member.memoryTags.live({ where: { id: tag.id } }), true)
    await until(member.memories.live({ where: { id: memory.id } }), true)
    const back = await scout.memories.update(memory.id, { scope: 'agent' })
    await until(member.memories.live({ where: { id: memory.id } }), false)
    await until(member.memoryTags.live({ where: { id: tag.id } }), false)
    await back.wait('synced')
    expect(await owner.memories.get(memory.id)).toMatchObject({ scope: 'agent' })
  }
  for (const tide of [owner, member, scout]) expect(await tide.verify()).toEqual({ equal: true })
})
