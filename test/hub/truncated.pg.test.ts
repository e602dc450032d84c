// TRUNCATE tells of no row what it took, and is not bound to snapshots: the table is empty at once for those that were
// taken before it.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import type { Seq } from '../../protocol/seq.ts'
import { createTriggerSource, createWalSource } from '../../server/capture/capture.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { insertRow } from '../../server/db/db.ts'
import type { Step, TooFar } from '../../server/hub/feed.ts'
import { createHub, type Hub, type HubSession } from '../../server/hub/hub.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedDevice, seedFixture, type Fixture } from '../support/fixtures.ts'
import { countLockWaiters } from '../support/lock-waiters.ts'
import { untilWriter } from '../support/log-writer.ts'
import { FrameLog, type Heard } from './frame-log.ts'

const catalog = loadCatalog()

interface Connected {
  readonly session: HubSession
  readonly log: FrameLog
  readonly ended: Promise<string>
}

describe.each(['wal', 'trigger'] as const)('a table is truncated, with capture by %s', (capture) => {
  let db: TestDatabase
  let source: ChangeSource
  let feed: SqlFeed
  let hub: Hub
  let it: Fixture
  const open: HubSession[] = []

  beforeAll(async () => {
    db = await createTestDatabase({ kind: 'postgres' })
    const options = { database: db.database, clock: systemClock, log: silentLog, random: systemRandom, catalog }
    source = capture === 'wal' ? createWalSource(options) : createTriggerSource(options)
    feed = createSqlFeed({ database: db.database, source, catalog })
    hub = createHub({ ...options, feed, source })
    await hub.start()
    await untilWriter(source)
  })
  beforeEach(async () => {
    it = await seedFixture(db.database.pool)
  })
  afterEach(() => {
    for (const session of open.splice(0)) session.close()
  })
  afterAll(async () => {
    await hub.stop()
    await feed.close()
    await db.close()
  })

  const sql = (text: string, values: readonly unknown[] = []): Promise<unknown> =>
    db.database.pool.query(text, [...values])

  async function add(table: string, row: Readonly<Record<string, unknown>>): Promise<string> {
    const id = newId()
    await insertRow(db.database.pool, table, { id, organization_id: it.organizationId, ...row })
    return id
  }

  const addTag = async (tag: string, memory_id: string): Promise<string> => add('memory_tags', { tag, memory_id })

  const addMemory = (): Promise<string> =>
    add('memories', { scope: 'project', project_id: it.projectId, content: 'Kept' })

  function advance(from: Seq, by = feed): Promise<Step | TooFar> {
    return by.advance(from, {
      organizations: new Set([it.organizationId]),
      follows: (channel) => channel === `project/${it.projectId}`,
      watchAccess: false,
      embeddings: false,
      principals: () => [],
    })
  }

  async function connect(id = it.memberId): Promise<Connected> {
    const principal = await seedDevice(db.database.pool, { organizationId: it.organizationId, kind: 'user', id })
    const log = new FrameLog((name) => catalog.synced.get(name)?.descriptor)
    const ended = Promise.withResolvers<string>()
    await source.head()
    const session = await hub.open({
      principal,
      cursor: null,
      send: log.send,
      ended: (error) => ended.resolve(error.code),
    })
    open.push(session)
    return { session, log, ended: ended.promise }
  }

  /** Answers the only page. */
  async function stage({ session, log }: Connected, id: string, channel: string, tables: string[]) {
    await session.subscribe([{ id, channel, tables, embeddings: false, held: false }])
    expect((await log.next('subscribed')).message.error).toBeUndefined()
    await session.page(id, null)
    return log.next('page')
  }

  async function follow(connected: Connected, channel: string, tables: string[]): Promise<void> {
    connected.session.activate('s', (await stage(connected, 's', channel, tables)).message.from)
    await connected.log.next('batch', ({ activated }) => activated.includes('s'))
  }

  test('while a snapshot is being read: nothing is told of that snapshot, and the next one has it all', async () => {
    const memory = await addMemory()
    const head = await source.head()
    const tag = await addTag('before', memory)
    // Of a feed that the hub does not read.
    const overtaken: ChangeSource = {
      ...(source.logsAfterCommit && { logsAfterCommit: true }),
      start: (listener) => source.start(listener),
      stop: () => source.stop(),
      wake: () => source.wake(),
      head: () => source.head(),
      async settle(snapshot, place) {
        const log = await source.settle(snapshot, place)
        await sql('truncate memory_tags')
        return log
      },
    }
    const slow = createSqlFeed({ database: db.database, source: overtaken, catalog })
    const torn = await advance(head, slow)
    await slow.close()
    expect(torn).toMatchObject({ kind: 'step', to: head, changes: [], torn: true, pending: true })
    const after = await addTag('after', memory)
    await source.head()
    const step = await advance(head)
    expect(step).toMatchObject({ kind: 'step', resets: ['memory_tags'] })
    const ids = step.kind === 'step' ? step.changes.map(({ id }) => id) : []
    expect([ids.includes(tag), ids.includes(after)]).toEqual([false, true])
  })

  test('while a page is being read: it is read anew, as of after that', async () => {
    const memory = await addMemory()
    await addTag('before', memory)
    const head = await source.head()
    const emptying = await db.database.pool.connect()
    try {
      await emptying.query('begin')
      await emptying.query('truncate memory_tags')
      const reading = feed.page({
        selection: {
          organizationId: it.organizationId,
          channel: `project/${it.projectId}`,
          tables: ['memory_tags'],
          where: {},
          embeddings: false,
        },
        after: null,
        maxRows: 100,
        maxBytes: 1e6,
      })
      await expect.poll(() => countLockWaiters(db.database.pool)).toBe(1)
      await emptying.query('commit')
      const { rows, shows } = await reading
      expect(rows).toBe(0)
      expect(shows).toBeGreaterThan(head)
    } finally {
      emptying.release(true)
    }
  })

  test('while one subscription is loaded: the rows that another one got since are not taken from it', async () => {
    const other = await add('projects', { name: 'Other', slug: `o-${newId()}` })
    const connected = await connect()
    const { session, log } = connected
    const tables = ['tasks', 'task_dependencies']
    await follow(connected, `project/${it.projectId}`, tables)
    const { from } = (await stage(connected, 'late', `project/${other}`, tables)).message
    await sql('truncate task_dependencies')
    const project_id = it.projectId
    const [task_id, depends_on_task_id] = [
      await add('tasks', { project_id, title: 'One' }),
      await add('tasks', { project_id, title: 'Two' }),
    ]
    const id = await add('task_dependencies', { project_id, task_id, depends_on_task_id })
    const has = ({ rows }: Heard): boolean => (rows.get('task_dependencies') ?? []).some((row) => row['id'] === id)
    session.ack((await log.next('batch', (_, heard) => has(heard))).message.to)
    session.activate('late', from)
    const batch = await log.next('batch', ({ activated }) => activated.includes('late'))
    expect([batch.message.resets, has(batch)]).toEqual([['task_dependencies'], true])
  })

  test('of guests: who found a row by it loads anew, and finds it no more', async () => {
    const conversation_id = await add('conversations', { scope: 'user', user_id: it.ownerId, title: 'Shared' })
    await add('conversation_participants', { conversation_id, user_id: it.memberId })
    const guest = await connect()
    await follow(guest, `user/${it.memberId}`, ['conversations', 'conversation_participants'])
    await sql('truncate conversation_participants')
    expect(await guest.ended).toBe('cursor_too_old')
    const again = await connect()
    const { rows } = await stage(again, 's', `user/${it.memberId}`, ['conversations', 'conversation_participants'])
    expect(rows.get('conversations')).toBeUndefined()
  })

  test('of members: who may follow a project by it may do so no more', async () => {
    const project_id = await add('projects', {
      name: 'Private',
      slug: `p-${newId()}`,
      visibility: 'private',
      owner_user_id: it.ownerId,
    })
    await add('project_members', { project_id, user_id: it.memberId })
    const member = await connect()
    await follow(member, `project/${project_id}`, ['tasks'])
    await sql('truncate project_members')
    expect(await member.ended).toBe('cursor_too_old')
    const again = await connect()
    const held = { id: 's', channel: `project/${project_id}`, tables: ['tasks'], embeddings: false, held: false }
    await again.session.subscribe([held])
    expect((await again.log.next('subscribed')).message.error?.code).toBe('forbidden')
  })
})
