// Commits too big for memory, and a log that is longer than may be sent: what a reader is told, and what it reads for
// that.
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { valueOf } from '../../server/db/row-bytes.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import type { Seq } from '../../protocol/seq.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import type { AdvanceRequest, Step, TooFar } from '../../server/hub/feed.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import { pruneLog } from '../../server/maintenance/prune.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedFixture, type Fixture } from '../support/fixtures.ts'
import { untilWriter } from '../support/log-writer.ts'

const catalog = loadCatalog()
let db: TestDatabase
let source: ChangeSource
/** Called when a reader has its snapshot, and before it reads the log. */
let meanwhile: () => Promise<unknown>
let feed: SqlFeed
let it: Fixture
let head: Seq

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  source = makeSource()
  await source.start(() => undefined)
  await untilWriter(source)
  const watched: ChangeSource = {
    logsAfterCommit: true,
    start: (listener) => source.start(listener),
    stop: () => source.stop(),
    wake: () => source.wake(),
    head: () => source.head(),
    async settle(query, place) {
      const log = await source.settle(query, place)
      await meanwhile()
      return log
    },
  }
  feed = createSqlFeed({ database: db.database, source: watched, catalog, maxKeys: 1000, maxBytes: 1_000_000 })
})
beforeEach(async () => {
  meanwhile = () => Promise.resolve()
  it = await seedFixture(db.database.pool)
  await source.head()
  ;({ head } = await feed.state())
})
afterAll(async () => {
  await source.stop()
  await feed.close()
  await db.close()
})

const pool = () => db.database.pool
const makeSource = () =>
  createWalSource({ database: db.database, clock: systemClock, random: systemRandom, log: silentLog, openKeys: 100 })

async function advance(request: Partial<AdvanceRequest> = {}): Promise<Step | TooFar> {
  return feed.advance(head, {
    organizations: new Set([it.organizationId]),
    follows: (channel) => channel === `project/${it.projectId}`,
    watchAccess: false,
    embeddings: false,
    principals: () => [],
    ...request,
  })
}

const addTasks = (count: number, client: Pick<pg.PoolClient, 'query'> = pool()) =>
  client.query(
    'insert into tasks (organization_id, project_id, title) select $1, $2, n::text from generate_series(1, $3::integer) n',
    [it.organizationId, it.projectId, count],
  )

const kept = async () =>
  (await pool().query<{ keys: number }>('select count(*)::integer as keys from sync.spilled_changes')).rows[0]?.keys

test('its followers get a big commit whole, and their cursors pass it', async () => {
  await addTasks(500)
  await pool().query(`update tasks set title = title || '!' where project_id = $1`, [it.projectId])
  const step = await advance()
  expect(step).toMatchObject({ kind: 'step', pending: false })
  if (step.kind !== 'step') return
  expect(step.changes).toHaveLength(500)
  expect(step.changes.every(({ row }) => row !== null && String(valueOf(row, 'title')).endsWith('!'))).toBe(true)
  expect(step.to).toBe(await source.head())
})

test('a row is told again of which a big commit made another with the same version', async () => {
  const id = newId()
  const insert = `insert into tasks (id, organization_id, project_id, title) values ('${id}', '${it.organizationId}', '${it.projectId}', 'T')`
  const update = `update tasks set title = title || '!' where id = '${id}'`
  await pool().query(insert)
  await pool().query(update)
  await advance()
  const client = await pool().connect()
  await client.query(`begin; delete from tasks where id = '${id}'; ${insert}`)
  await addTasks(200, client)
  await client.query('commit')
  client.release()
  await source.head()
  ;({ head } = await feed.state())
  await pool().query(update)
  const step = await advance()
  expect(step).toMatchObject({ kind: 'step', changes: [{ id, row: { title: 'T!', version: 2 } }] })
})

test('a row that a big commit deletes and makes again elsewhere has gone, for those who follow where it was', async () => {
  const id = newId()
  const elsewhere = newId()
  const addTask = (client: Pick<pg.PoolClient, 'query'>, projectId: string) =>
    client.query('insert into tasks (id, organization_id, project_id, title) values ($1, $2, $3, $4)', [
      ...[id, it.organizationId, projectId, 'Secret'],
    ])
  await pool().query('insert into projects (id, organization_id, name, slug) values ($1, $2, $3, $4)', [
    ...[elsewhere, it.organizationId, 'Elsewhere', elsewhere],
  ])
  await addTask(pool(), it.projectId)
  await source.head()
  ;({ head } = await feed.state())
  const client = await pool().connect()
  await client.query('begin')
  await client.query('delete from tasks where id = $1', [id])
  await addTask(client, elsewhere)
  await addTasks(200, client)
  await client.query('commit')
  client.release()
  const step = await advance()
  const change = step.kind === 'step' ? step.changes.find((one) => one.id === id) : undefined
  expect(change).toMatchObject({ row: null, homes: [], formerHomes: [`project/${it.projectId}`] })
})

test('what is more than may be sent is told to those whom it concerns, and to nobody else', async () => {
  await addTasks(1500)
  expect(await advance()).toMatchObject({ kind: 'too_far' })
  const others: readonly Partial<AdvanceRequest>[] = [
    { follows: (channel) => channel === `project/${newId()}` },
    { followsTable: (_, table) => table === 'plans' },
    { organizations: new Set([newId()]) },
  ]
  for (const other of others) expect(await advance(other)).toMatchObject({ kind: 'step', changes: [] })
})

test.for([
  ['many', 400, 4000],
  ['a few', 12, 200_000],
] as const)('rows that are too large to be kept are no batch, though they are only %s', async ([, count, length]) => {
  await addTasks(count)
  expect(await advance()).toMatchObject({ kind: 'step', changes: { length: count } })
  await pool().query('update tasks set description = repeat(md5(title), $2 / 32) where project_id = $1', [
    it.projectId,
    length,
  ])
  expect(await advance()).toMatchObject({ kind: 'too_far' })
  expect(await advance({ follows: () => false })).toMatchObject({ kind: 'step', changes: [] })
})

test('the write that it was is told to its device, also where its rows concern nobody', async () => {
  const [mutation, device] = [newId(), newId()]
  const client = await pool().connect()
  await client.query('begin')
  await client.query(`select set_config('app.mutation_id', $1, true), set_config('app.device_id', $2, true)`, [
    mutation,
    device,
  ])
  await addTasks(200, client)
  await client.query('commit')
  client.release()
  const step = await advance({ follows: () => false })
  expect(step).toMatchObject({ kind: 'step', changes: [], marks: [{ mutationId: mutation, deviceId: device }] })
})

test('a writer of the log that is replaced in the middle of one leaves nothing behind', async () => {
  const client = await pool().connect()
  const before = await kept()
  await client.query('begin')
  // Beyond the block that Postgres sends of an open transaction.
  await addTasks(20_000, client)
  await expect.poll(kept, { timeout: 60_000 }).not.toBe(before)
  await source.stop()
  source = makeSource()
  await source.start(() => undefined)
  await untilWriter(source)
  await client.query('commit')
  client.release()
  await source.head()
  const { rows } = await pool().query(
    'select keys::integer as keys from sync.big_commits where seq > $1 order by seq desc limit 1',
    [head],
  )
  expect(rows).toEqual([{ keys: 20_000 }])
  const { rows: all } = await pool().query('select sum(keys)::integer as keys from sync.big_commits')
  expect(await kept()).toBe(all[0]?.keys)
})

test('a long log is counted by rows, not by entries', async () => {
  await addTasks(90)
  for (let round = 0; round < 230; round++)
    await pool().query('update tasks set title = $2 where project_id = $1', [it.projectId, `T ${round}`])
  await source.head()
  const { rows } = await pool().query('select count(*)::integer as entries from sync_changes where seq > $1', [head])
  expect(rows[0]?.entries).toBeGreaterThan(20_000)
  expect(await advance()).toMatchObject({ kind: 'step', changes: { length: 90 } })
}, 120_000)

test.for([50, 500])('a log that is pruned while %i rows are being read is no log with a gap', async (count) => {
  await addTasks(count)
  await source.head()
  meanwhile = async () => {
    // Whatever the reader saw when its snapshot was taken.
    await pruneLog(pool(), { keepMs: 0, keepRows: 0 })
  }
  expect(await advance()).toMatchObject({ kind: 'too_far' })
  expect(await kept()).toBe(0)
})

test('no more keys of big commits are kept than entries', async () => {
  await addTasks(300)
  await addTasks(200)
  await source.head()
  await pruneLog(pool(), { keepMs: 3_600_000, keepRows: 400 })
  const { rows } = await pool().query('select keys::integer as keys from sync.big_commits')
  expect(rows).toEqual([{ keys: 200 }])
  expect(await kept()).toBe(200)
})
