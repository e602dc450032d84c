// Live clients are told of commits before these are in the log. Whatever becomes of the log's writer then, nobody loads
// anything again.
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import type { Cursor, Seq } from '../../protocol/seq.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { insertRow } from '../../server/db/db.ts'
import { createHub, type Hub, type HubSession } from '../../server/hub/hub.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedDevice, seedFixture, type Fixture } from '../support/fixtures.ts'
import { untilWriter } from '../support/log-writer.ts'
import { FrameLog } from './frame-log.ts'
import { killLogWriter } from './kill-log-writer.ts'

interface Server {
  readonly source: ChangeSource
  readonly feed: SqlFeed
  readonly hub: Hub
}

interface Connected {
  readonly log: FrameLog
  readonly session: HubSession
  readonly ended: Promise<string>
}

const catalog = loadCatalog()
let db: TestDatabase
let it: Fixture
let principal: DevicePrincipal
/** The first writes the log, the second follows it. */
let servers: Server[] = []
/** Holds up the log while it has a transaction. */
let holder: pg.Client

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  holder = new pg.Client({ connectionString: db.url })
  await holder.connect()
})
beforeEach(async () => {
  it = await seedFixture(db.database.pool)
  principal = await seedDevice(db.database.pool, { organizationId: it.organizationId, kind: 'user', id: it.memberId })
  servers = [await startServer()]
  await untilWriter(server(0).source)
  servers.push(await startServer())
})
afterEach(async () => {
  await release()
  await Promise.all(
    servers.map(async ({ hub, feed }) => {
      await hub.stop()
      await feed.close()
    }),
  )
})
afterAll(async () => {
  await holder.end()
  await db.close()
})

const sql = (text: string): Promise<unknown> => db.database.pool.query(text)
const hold = (): Promise<unknown> => holder.query('begin; lock table sync_changes in share mode')
const release = (): Promise<unknown> => holder.query('rollback')

async function startServer(): Promise<Server> {
  const options = { clock: systemClock, log: silentLog }
  const source = createWalSource({ ...options, database: db.database, random: systemRandom })
  const feed = createSqlFeed({ database: db.database, source, catalog })
  const hub = createHub({ ...options, feed, source, catalog })
  await hub.start()
  return { source, feed, hub }
}

function server(index: 0 | 1): Server {
  const found = servers[index]
  if (!found) throw new Error('There are two servers.')
  return found
}

async function connect({ hub }: Server, cursor: Cursor | null = null): Promise<Connected> {
  const log = new FrameLog((name) => catalog.synced.get(name)?.descriptor)
  const ended = Promise.withResolvers<string>()
  const session = await hub.open({ principal, cursor, send: log.send, ended: (error) => ended.resolve(error.code) })
  const subscription = { id: 's', channel: `project/${it.projectId}`, tables: ['tasks'], embeddings: false }
  await session.subscribe([{ ...subscription, held: session.resume }])
  return { log, session, ended: ended.promise }
}

/** On the server that writes the log, with one step behind it that had a snapshot. */
async function follow(): Promise<Connected> {
  const one = await connect(server(0))
  await one.session.page('s', null)
  const { message } = await one.log.next('page')
  one.session.activate('s', message.from)
  await one.log.next('batch', ({ activated }) => activated.length > 0)
  await told(one, await addTask())
  return one
}

async function addTask(): Promise<string> {
  const id = newId()
  const place = { organization_id: it.organizationId, project_id: it.projectId }
  await insertRow(db.database.pool, 'tasks', { id, ...place, title: 'T' })
  return id
}

/** Until a session was told of a row; answers the cursor of its replica. */
async function told({ log, session }: Connected, id: string): Promise<Cursor> {
  const { message } = await log.next('batch', (_, { rows }) =>
    (rows.get('tasks') ?? []).some((row) => row['id'] === id),
  )
  return { epoch: session.epoch, seq: message.to as Cursor['seq'] }
}

async function kill({ source }: Server): Promise<void> {
  const stopped = source.stop()
  await killLogWriter(db.database)
  await stopped
}

test('who was told by a writer that is then killed goes on at another server, once that has the log', async () => {
  const one = await follow()
  await hold()
  const cursor = await told(one, await addTask())
  await kill(server(0))
  const coming = connect(server(1), cursor)
  await expect.poll(() => server(1).source.role, { timeout: 60_000 }).toBe('writer')
  await release()
  const two = await coming
  expect(two.session.resume).toBe(true)
  await told(two, await addTask())
})

test('who was told before Postgres ended goes on, once the log has what was told', async () => {
  const one = await follow()
  await hold()
  const cursor = await told(one, await addTask())
  // As the first look after a start of Postgres finds it.
  await sql(`update sync.settings set started = started - interval '1 second'`)
  await sql('select sync.ensure_epoch()')
  const others = connect(server(1), cursor)
  await release()
  await addTask()
  expect(await one.ended).toBe('closed')
  const again = await connect(server(0), cursor)
  expect(again.session.resume).toBe(true)
  expect(again.session.epoch).not.toBe(cursor.epoch)
  await told(again, await addTask())
  // The other server knows it from then on, whatever it said before.
  await others
  expect((await connect(server(1), cursor)).session.resume).toBe(true)
})

test('who was told what the database then lacks begins anew', async () => {
  const one = await follow()
  await hold()
  const cursor = await told(one, await addTask())
  await sql(`update sync.settings set started = started - interval '1 second'`)
  await sql('select sync.ensure_epoch()')
  await release()
  // Another commit lies at the same place.
  await server(0).source.head()
  await sql(`update sync_changes set occurred_at = occurred_at + interval '1 millisecond' where seq = ${cursor.seq}`)
  await addTask()
  expect(await one.ended).toBe('cursor_ahead')
  expect((await connect(server(0), cursor)).session.resume).toBe(false)
})

test('while the log cannot be written, a step tells what was committed before the next sign of life', async () => {
  const { source } = server(0)
  const feed = createSqlFeed({ database: db.database, source, catalog })
  try {
    const { epoch, head } = await feed.state()
    const advance = (from: Seq): ReturnType<SqlFeed['advance']> =>
      feed.advance(from, {
        organizations: null,
        follows: (channel) => channel === `project/${it.projectId}`,
        watchAccess: true,
        embeddings: false,
        principals: () => [],
      })
    await addTask()
    const { to: from } = await advance(head)
    await hold()
    const id = await addTask()
    await sql('select sync.mark_canary()')
    await expect.poll(() => source.recent?.(from, epoch)?.length, { timeout: 60_000 }).toBe(2)
    const step = await advance(from)
    expect(step).toMatchObject({ changes: [{ id }], pending: true, canary: false })
    await release()
    expect(await advance(step.to)).toMatchObject({ changes: [], pending: false, canary: true })
  } finally {
    await feed.close()
  }
})

test('an epoch that is minted while the stream goes on ends the steps from memory for a moment only', async () => {
  const { source, feed } = server(0)
  await follow()
  await sql('update sync_heads set epoch = gen_random_uuid()::text')
  await addTask()
  const { epoch } = await feed.state()
  const fromMemory = async (): Promise<unknown> => source.recent?.(await source.head(), epoch)
  await expect.poll(fromMemory, { timeout: 60_000 }).toBeDefined()
})
