// What the SQL feed promises, the same on both databases.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { toSeq, zeroSeq, type Seq } from '../../protocol/seq.ts'
import { createTriggerSource } from '../../server/capture/capture.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import type { AdvanceRequest, Selection, Step } from '../../server/hub/feed.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedDevice, seedFixture, type Fixture } from '../support/fixtures.ts'
import { untilWriter } from '../support/log-writer.ts'
import { rowsOfBlocks } from '../support/page-rows.ts'

/** How the log is written. */
export type MakeSource = (db: TestDatabase) => ChangeSource

const byTrigger: MakeSource = ({ database }) => createTriggerSource({ database, clock: systemClock, log: silentLog })

export function feedContract(kind: 'embedded' | 'postgres', makeSource = byTrigger): void {
  const catalog = loadCatalog()
  let db: TestDatabase
  let source: ChangeSource
  let feed: SqlFeed
  let it: Fixture
  let head: Seq = zeroSeq

  beforeAll(async () => {
    db = await createTestDatabase({ kind })
    const { database } = db
    source = makeSource(db)
    await source.start(() => undefined)
    await untilWriter(source)
    feed = createSqlFeed({ database, source, catalog })
  })
  beforeEach(async () => {
    it = await seedFixture(db.database.pool)
    head = await newest()
  })
  afterAll(async () => {
    await source.stop()
    await feed.close()
    await db.close()
  })

  const pool = () => db.database.pool

  /** The head of the log when it holds all that was committed. */
  async function newest(): Promise<Seq> {
    await source.head()
    return (await feed.state()).head
  }
  const inOrganization = () => ({ organization_id: it.organizationId })

  async function advance(channels: readonly string[], request: Partial<AdvanceRequest> = {}): Promise<Step> {
    const step = await feed.advance(head, {
      organizations: new Set([it.organizationId]),
      follows: (channel) => channels.includes(channel),
      watchAccess: false,
      embeddings: false,
      principals: () => [],
      ...request,
    })
    if (step.kind === 'too_far') throw new Error('too far')
    return step
  }

  async function addTask(title = 'T', projectId = it.projectId): Promise<string> {
    const id = newId()
    await insertRow(pool(), 'tasks', { id, ...inOrganization(), project_id: projectId, title })
    return id
  }

  async function addConversation(scope: Readonly<Record<string, unknown>>): Promise<string> {
    const id = newId()
    await insertRow(pool(), 'conversations', { id, ...inOrganization(), ...scope, title: 'C' })
    return id
  }

  async function addMessage(conversationId: string): Promise<string> {
    const id = newId()
    await insertRow(pool(), 'messages', {
      id,
      ...inOrganization(),
      conversation_id: conversationId,
      role: 'user',
      content: 'hello',
    })
    return id
  }

  async function invite(conversationId: string, userId: string): Promise<string> {
    const id = uuidFromKey('conversation_participants', [conversationId, userId, null])
    await insertRow(pool(), 'conversation_participants', {
      id,
      ...inOrganization(),
      conversation_id: conversationId,
      user_id: userId,
    })
    return id
  }

  const keysOf = (step: Step) => step.changes.map(({ table, id }) => `${table} ${id}`)

  test('a position that the log never reached is not taken for one that was seen', async () => {
    const beyond = toSeq(head + 1_000_000)
    await feed.advance(beyond, {
      organizations: null,
      follows: () => false,
      watchAccess: false,
      embeddings: false,
      principals: () => [],
    })
    expect((await feed.state()).head).toBe(head)
  })

  test('a step folds several changes of a row into its newest state', async () => {
    const id = await addTask('one')
    await pool().query(`update tasks set title = 'two' where id = $1`, [id])
    const step = await advance([`project/${it.projectId}`])
    expect(step.changes).toMatchObject([
      { table: 'tasks', id, homes: [`project/${it.projectId}`], formerHomes: [], row: { title: 'two', version: 2 } },
    ])
    expect(step.to).toBe(await newest())
    expect(step.at).toBeGreaterThan(1.7e12)
  })

  test('what nobody follows is left out', async () => {
    await addTask()
    expect((await advance([])).changes).toEqual([])
    expect((await advance([`project/${newId()}`])).changes).toEqual([])
  })

  test('a row inserted within the step is fresh, an older one is not', async () => {
    const id = await addTask()
    const first = await advance([`project/${it.projectId}`])
    head = first.to
    await pool().query(`update tasks set title = 'two' where id = $1`, [id])
    const second = await advance([`project/${it.projectId}`])
    expect([first.changes[0]?.fresh, second.changes[0]?.fresh]).toEqual([true, false])
  })

  test('a hard delete is a change without a row', async () => {
    const id = await addTask()
    head = await newest()
    await pool().query('delete from tasks where id = $1', [id])
    expect((await advance([`project/${it.projectId}`])).changes).toMatchObject([
      { id, row: null, homes: [], formerHomes: [`project/${it.projectId}`] },
    ])
  })

  test('a move names the home that was left', async () => {
    const id = newId()
    await insertRow(pool(), 'memories', {
      id,
      ...inOrganization(),
      scope: 'user',
      user_id: it.memberId,
      agent_id: it.agentId,
      content: 'c',
    })
    head = await newest()
    await pool().query(`update memories set scope = 'agent' where id = $1`, [id])
    const step = await advance([`user/${it.memberId}`])
    expect(step.changes).toMatchObject([{ id, homes: [`agent/${it.agentId}`], formerHomes: [`user/${it.memberId}`] }])
    expect(step.departures).toEqual([
      {
        channel: `memory/${id}`,
        organizationId: it.organizationId,
        left: [`user/${it.memberId}`],
        homes: [`agent/${it.agentId}`],
      },
    ])
  })

  test('rows of a sub-channel are carried by the channel their parent is in', async () => {
    const conversation = await addConversation({ scope: 'project', project_id: it.projectId })
    head = await newest()
    const message = await addMessage(conversation)
    const step = await advance([`project/${it.projectId}`])
    expect(step.changes).toContainEqual(
      expect.objectContaining({ table: 'messages', id: message, homes: [`project/${it.projectId}`] }),
    )
  })

  test('a new participant gets the whole conversation, with one entry in the log', async () => {
    const conversation = await addConversation({ scope: 'user', user_id: it.ownerId })
    const message = await addMessage(conversation)
    head = await newest()
    const participant = await invite(conversation, it.memberId)
    const step = await advance([`user/${it.memberId}`])
    expect(keysOf(step).toSorted()).toEqual([
      `conversation_participants ${participant}`,
      `conversations ${conversation}`,
      `messages ${message}`,
    ])
    expect(step.departures).toEqual([])
  })

  test('what was written and then shared bears the later position, so that a load between the two gets it too', async () => {
    head = await newest()
    const conversation = await addConversation({ scope: 'user', user_id: it.ownerId })
    const message = await addMessage(conversation)
    await invite(conversation, it.memberId)
    const shared = await newest()
    const { changes } = await advance([`user/${it.memberId}`])
    expect(changes.filter(({ id }) => id === conversation || id === message)).toMatchObject([
      { seq: shared, fresh: false },
      { seq: shared, fresh: false },
    ])
  })

  test('reading a message brings the participant alone, not the conversation', async () => {
    const conversation = await addConversation({ scope: 'user', user_id: it.ownerId })
    await addMessage(conversation)
    const participant = await invite(conversation, it.memberId)
    head = await newest()
    await pool().query('update conversation_participants set last_read_position = 1 where id = $1', [participant])
    expect(keysOf(await advance([`user/${it.memberId}`]))).toEqual([`conversation_participants ${participant}`])
  })

  test('a participant who is removed no longer carries the conversation', async () => {
    const conversation = await addConversation({ scope: 'user', user_id: it.ownerId })
    await addMessage(conversation)
    const participant = await invite(conversation, it.memberId)
    head = await newest()
    await pool().query('update conversation_participants set deleted_at = now() where id = $1', [participant])
    const step = await advance([`user/${it.memberId}`])
    expect(step.departures).toMatchObject([
      { channel: `conversation/${conversation}`, left: [`user/${it.memberId}`], homes: [`user/${it.ownerId}`] },
    ])
    expect(step.changes).toContainEqual(
      expect.objectContaining({ table: 'conversations', id: conversation, formerHomes: [`user/${it.memberId}`] }),
    )
  })

  test('a conversation that is purged with all in it is deleted where it was', async () => {
    const conversation = await addConversation({ scope: 'user', user_id: it.ownerId })
    const message = await addMessage(conversation)
    await invite(conversation, it.memberId)
    head = await newest()
    await pool().query('delete from conversations where id = $1', [conversation])
    const step = await advance([`user/${it.memberId}`, `user/${it.ownerId}`])
    const gone = step.changes.find(({ id }) => id === message)
    expect(gone?.row).toBeNull()
    expect(gone?.formerHomes.toSorted()).toEqual([`user/${it.memberId}`, `user/${it.ownerId}`].toSorted())
  })

  test('a private project is found by its owner and its members', async () => {
    const project = newId()
    await insertRow(pool(), 'projects', {
      id: project,
      ...inOrganization(),
      name: 'P',
      slug: 'p',
      visibility: 'private',
      owner_user_id: it.ownerId,
    })
    await insertRow(pool(), 'project_members', {
      id: uuidFromKey('project_members', [project, it.memberId, null, null]),
      ...inOrganization(),
      project_id: project,
      user_id: it.memberId,
    })
    const change = (await advance([`user/${it.memberId}`])).changes.find(({ id }) => id === project)
    expect(change?.homes.toSorted()).toEqual(
      [`project/${project}`, `user/${it.memberId}`, `user/${it.ownerId}`].toSorted(),
    )
  })

  test('changes of other organizations are left out', async () => {
    const other = await seedFixture(pool())
    await insertRow(pool(), 'tasks', {
      id: newId(),
      organization_id: other.organizationId,
      project_id: other.projectId,
      title: 'theirs',
    })
    expect((await advance([`project/${other.projectId}`])).changes).toEqual([])
  })

  test('marks, canaries, resets and credentials are in the step', async () => {
    const device = await seedDevice(pool(), { organizationId: it.organizationId, kind: 'user', id: it.memberId })
    const mutation = newId()
    head = await newest()
    await pool().query('select sync.mark($1, $2, $3)', [mutation, device.deviceId, it.organizationId])
    expect(await advance([])).toMatchObject({
      marks: [{ deviceId: device.deviceId, mutationId: mutation }],
      canary: false,
    })
    await pool().query('select sync.mark_canary()')
    expect((await advance([])).canary).toBe(true)
    await insertRow(pool(), 'access_tokens', {
      ...inOrganization(),
      user_id: it.memberId,
      name: 'ci',
      token_hash: Buffer.from(mutation),
      token_prefix: 'tw_x',
    })
    expect((await advance([])).credentials).toEqual([it.memberId])
    await pool().query('truncate task_dependencies')
    expect((await advance([])).resets).toEqual(['task_dependencies'])
  })

  test('access is evaluated in the snapshot for the principals asked for', async () => {
    const principal = await seedDevice(pool(), { organizationId: it.organizationId, kind: 'user', id: it.memberId })
    head = await newest()
    await pool().query(`update organization_members set status = 'suspended' where user_id = $1`, [it.memberId])
    let seen: readonly string[] = []
    const step = await advance([], {
      watchAccess: true,
      principals: (changes) => {
        seen = changes.map(({ table }) => table)
        return [principal]
      },
    })
    expect(seen).toEqual(['organization_members'])
    expect(step.access.get(principal)).toMatchObject({ active: false, refusal: 'token_invalid' })
  })

  test('more rows than may be sent at once are too far', async () => {
    const small = createSqlFeed({
      database: db.database,
      source,
      catalog,
      maxKeys: 2,
    })
    await Promise.all([addTask(), addTask(), addTask()])
    const request = {
      organizations: null,
      follows: () => true,
      watchAccess: false,
      embeddings: false,
      principals: () => [],
    }
    expect(await small.advance(head, request)).toMatchObject({ kind: 'too_far', from: head })
    await small.close()
  })

  function selection(channel: string, rest: Partial<Selection> = {}): Selection {
    const tables = [...catalog.synced.values()]
      .filter(({ direction }) => direction !== 'up')
      .map(({ name }) => name)
      .toSorted()
    return { organizationId: it.organizationId, channel, tables, where: {}, embeddings: false, ...rest }
  }

  async function pages(chosen: Selection, maxRows: number): Promise<string[]> {
    const found: string[] = []
    let after: string | null = null
    do {
      const page = await feed.page({ selection: chosen, after, maxRows, maxBytes: 1_000_000 })
      for (const { table, row } of rowsOfBlocks(catalog, page.blocks)) found.push(`${table} ${String(row['id'])}`)
      expect(page.blocks.reduce((sum, { block }) => sum + block.count, 0)).toBe(page.rows)
      expect(page.rows).toBeLessThanOrEqual(maxRows)
      after = page.next
    } while (after !== null)
    return found
  }

  test('pages hold every row of a channel once, sub-channels included, whatever their size', async () => {
    const tasks = [await addTask(), await addTask(), await addTask()]
    const conversation = await addConversation({ scope: 'project', project_id: it.projectId })
    const message = await addMessage(conversation)
    const all = await pages(selection(`project/${it.projectId}`), 1000)
    const mine = all.filter((key) => /^(tasks|conversations|messages) /.test(key))
    expect(mine.toSorted()).toEqual(
      [...tasks.map((id) => `tasks ${id}`), `conversations ${conversation}`, `messages ${message}`].toSorted(),
    )
    for (const size of [1, 2, 3]) expect(await pages(selection(`project/${it.projectId}`), size)).toEqual(all)
  })

  test('pages hold what guests find, and filters and tables narrow them', async () => {
    const conversation = await addConversation({ scope: 'user', user_id: it.ownerId })
    const message = await addMessage(conversation)
    await invite(conversation, it.memberId)
    const all = await pages(selection(`user/${it.memberId}`), 100)
    expect(all).toContain(`conversations ${conversation}`)
    expect(all).toContain(`messages ${message}`)
    const none = selection(`user/${it.memberId}`, { tables: ['messages'], where: { messages: { content: 'else' } } })
    expect(await pages(none, 100)).toEqual([])
  })

  test('every channel a member may follow can be paged and verified', async () => {
    const principal = await seedDevice(pool(), { organizationId: it.organizationId, kind: 'user', id: it.memberId })
    const { channels } = (await feed.access(principal)).access
    expect([...channels.keys()]).toEqual(
      expect.arrayContaining([
        'global',
        `organization/${it.organizationId}`,
        `user/${it.memberId}`,
        `project/${it.projectId}`,
      ]),
    )
    for (const channel of channels.keys()) {
      const chosen = selection(channel)
      const rows = await pages(chosen, 500)
      const step = await advance([], { verify: chosen })
      const counted = (step.verified ?? []).reduce(
        (sum, { ranges }) => sum + ranges.reduce((total, { count }) => total + count, 0),
        0,
      )
      expect([channel, counted]).toEqual([channel, rows.length])
    }
  })
}
