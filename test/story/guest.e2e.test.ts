// What a guest finds in their own channel: a conversation in a project they do not follow, and a private project.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Client } from '@tidewire/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { newId } from '../support/fixtures.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

let home: TestServer
let folder: string
const names = ['projects', 'conversations', 'conversationParticipants', 'messages'] as const

beforeAll(async () => {
  home = await startTestServer()
  folder = await mkdtemp(join(tmpdir(), 'tidewire-guest-'))
})
afterAll(async () => {
  await home.close()
  await rm(folder, { recursive: true, force: true })
})

const pool = () => home.server.database.pool

async function add(table: string, row: Readonly<Record<string, unknown>>, id = newId()): Promise<string> {
  await insertRow(pool(), table, { id, organization_id: home.fixture.organizationId, ...row })
  return id
}

async function invite(conversation: string, user: string): Promise<string> {
  const id = uuidFromKey('conversation_participants', [conversation, user, null])
  return add('conversation_participants', { conversation_id: conversation, user_id: user }, id)
}

/**
 * A private project of the member, and two conversations in the open project, to one of which the member is invited.
 */
async function populate() {
  const { memberId, ownerId, projectId } = home.fixture
  const secret = await add('projects', { name: 'Secret', slug: `s-${newId()}`, visibility: 'private' })
  await add(
    'project_members',
    { project_id: secret, user_id: memberId },
    uuidFromKey('project_members', [secret, memberId, null, null]),
  )
  const [shared, other] = [newId(), newId()]
  for (const id of [shared, other]) {
    await add('conversations', { scope: 'project', project_id: projectId, title: 'C' }, id)
    await add('messages', { conversation_id: id, role: 'user', content: 'hello' })
    await invite(id, ownerId)
  }
  const participation = await invite(shared, memberId)
  const conflict = await add('sync_conflicts', {
    channel: `conversation/${shared}`,
    user_id: memberId,
    mutation_id: newId(),
    table_name: 'conversations',
    row_id: shared,
    kind: 'field',
  })
  return { secret, shared, other, participation, conflict }
}

async function counts(tide: Client): Promise<readonly number[]> {
  return Promise.all(names.map(async (name) => (await tide[name].find({})).length))
}

test.each(['memory', 'pglite'] as const)(
  'a guest holds what the server says they hold, before and after following the project, replica kind %s',
  async (kind) => {
    const { projectId, memberId } = home.fixture
    const it = await populate()
    const tide = await connect({
      url: home.url,
      token: await home.userToken(memberId),
      replica: kind === 'memory' ? { kind } : { kind, dir: join(folder, kind) },
      device: { name: kind, kind: 'cli' },
    })
    for await (const rows of tide.messages.live({ where: { conversationId: it.shared } })) if (rows.length > 0) break
    const found = async () => ({
      projects: (await tide.projects.find({ where: { id: it.secret } })).length,
      shared: (await tide.messages.find({ where: { conversationId: it.shared } })).length,
      participants: (await tide.conversationParticipants.find({ where: { conversationId: it.shared } })).length,
      conflicts: (await tide.conflicts.find({ where: { status: 'open' } })).filter(({ id }) => id === it.conflict)
        .length,
      other: (await tide.messages.find({ where: { conversationId: it.other } })).length,
    })
    const asGuest = { projects: 1, shared: 1, participants: 2, conflicts: 1, other: 0 }
    expect(await found()).toEqual(asGuest)
    expect(await tide.verify()).toEqual({ equal: true })

    const before = await counts(tide)
    const followed = await Promise.all([projectId, it.secret].map((project) => tide.subscribe({ project })))
    await Promise.all(followed.map(({ ready }) => ready))
    expect(await found()).toEqual({ ...asGuest, other: 1 })
    expect(await tide.verify()).toEqual({ equal: true })

    for (const one of followed) await one.unsubscribe()
    expect(await found()).toEqual(asGuest)
    expect(await counts(tide)).toEqual(before)
    expect(await tide.verify()).toEqual({ equal: true })

    // Who is removed keeps nothing of it.
    await pool().query('update conversation_participants set deleted_at = now() where id = $1', [it.participation])
    await pool().query('update project_members set deleted_at = now() where project_id = $1', [it.secret])
    for await (const rows of tide.projects.live({ where: { id: it.secret } })) if (rows.length === 0) break
    for await (const rows of tide.messages.live({ where: { conversationId: it.shared } })) if (rows.length === 0) break
    expect(await found()).toEqual({ projects: 0, shared: 0, participants: 0, conflicts: 0, other: 0 })
    expect(await tide.verify()).toEqual({ equal: true })
    await tide.close()
  },
)
