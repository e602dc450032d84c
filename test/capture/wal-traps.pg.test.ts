// What surprised those who tried: each trap of capture from the WAL with what must come of it.
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { toSeq } from '../../protocol/seq.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import type { ChangeSource, RecentCommit } from '../../server/capture/change-source.ts'
import { noOrigin } from '../../server/capture/wal/captured-commit.ts'
import { LogWriter } from '../../server/capture/wal/log-writer.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createWorld, insert, type Queryable, type World } from '../migrations/rows.ts'
import { openDatabase } from '../../server/db/db.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilWriter } from '../support/log-writer.ts'
import { startCable } from '../support/tcp-proxy.ts'

interface LogRow {
  readonly seq: string
  readonly organization_id: string | null
  readonly channel: string
  readonly old_channel: string | null
  readonly table_name: string
  readonly row_id: string | null
  readonly op: string
  readonly mutation_id: string | null
  readonly origin_device_id: string | null
}

let db: TestDatabase
let world: World
let source: ChangeSource
let head = 0
/** How often the log was compared with what its writer has of it in memory. */
let compared = 0

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  world = await createWorld(db.database.pool)
  source = createWalSource({ database: db.database, clock: systemClock, random: systemRandom, log: silentLog })
  await source.start(() => undefined)
  await untilWriter(source)
  await newChanges()
})
afterAll(async () => {
  await source.stop()
  await db.close()
})

const pool = () => db.database.pool
const addTask = (client: Queryable, title = 'T') =>
  insert(client, 'tasks', { organization_id: world.organization, project_id: world.project, title })

async function newChanges() {
  await source.head()
  const { rows } = await pool().query('select * from sync_changes where seq > $1 order by seq, ordinal', [head])
  const { rows: heads } = await pool().query<{ epoch: string }>('select epoch from sync_heads')
  const recent = source.recent?.(toSeq(head), heads[0]?.epoch ?? '')
  if (recent) {
    compared++
    expect(recent.flatMap(({ point, keys }) => keys.map((key) => toLogRow(point, key)))).toMatchObject(
      rows.map(toPlain),
    )
  }
  head = Number(rows.at(-1)?.seq ?? head)
  return rows
}

function toPlain({
  seq,
  organization_id,
  channel,
  old_channel,
  table_name,
  row_id,
  op,
  mutation_id,
  origin_device_id,
}: LogRow): LogRow {
  return { seq, organization_id, channel, old_channel, table_name, row_id, op, mutation_id, origin_device_id }
}

function toLogRow({ seq }: RecentCommit['point'], { origin, ...key }: RecentCommit['keys'][number]): LogRow {
  return {
    seq: String(seq),
    organization_id: key.organizationId,
    channel: key.channel,
    old_channel: key.oldChannel,
    table_name: key.table,
    row_id: key.rowId,
    op: key.op,
    mutation_id: origin.mutation_id,
    origin_device_id: origin.origin_device_id,
  }
}

async function withClient<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: db.url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

test('what the writer has in memory is what is in the log, from the first commit of its term on', async () => {
  await addTask(pool())
  await newChanges()
  const before = compared
  await addTask(pool())
  expect(await newChanges()).toHaveLength(1)
  expect(compared).toBe(before + 1)
})

test('triggers that somebody woke or disabled are set again at a look, those of a busy table at a later one', async () => {
  const triggers = async (): Promise<unknown> =>
    (
      await pool().query(
        `select tgrelid::regclass::text as table, tgname::text as name, tgenabled as enabled from pg_trigger
         where tgname ~ '^(capture_|tell_origin$)' and tgrelid in ('tasks'::regclass, 'plans'::regclass) order by 1, 2`,
      )
    ).rows
  const atFirst = await triggers()
  await pool().query('alter table tasks enable trigger user; alter table plans disable trigger tell_origin')
  const altered = await triggers()
  expect(altered).not.toEqual(atFirst)
  await withClient(async (client) => {
    await client.query('begin')
    await addTask(client)
    expect(await source.inspect?.()).toBe(true)
    await client.query('commit')
  })
  expect(await triggers()).not.toEqual(altered)
  expect(await triggers()).not.toEqual(atFirst)
  expect(await source.inspect?.()).toBe(true)
  expect(await triggers()).toEqual(atFirst)
  await newChanges()
  await withClient(async (client) => {
    await client.query(`select set_config('app.user_id', $1, false)`, [world.user])
    await insert(client, 'plans', { organization_id: world.organization, project_id: world.project, title: 'T' })
  })
  expect(await newChanges()).toMatchObject([{ table_name: 'plans', actor_user_id: world.user }])
})

test('of two log writers the one that lost the slot is refused when it wakes, and what both log is logged once', async () => {
  const slot = String((await pool().query('select slot_name from sync_capture')).rows[0].slot_name)
  const at = Number((await pool().query('select last_seq::text from sync_capture')).rows[0].last_seq) + 1
  const commit = {
    point: { xid: 3, seq: toSeq(at), end: at + 1, at: 0 },
    keys: [
      {
        organizationId: null,
        channel: 'global',
        oldChannel: null,
        table: 'tasks',
        rowId: world.project,
        op: 'upsert' as const,
        born: false,
        version: null,
        origin: noOrigin,
      },
    ],
  }
  const later = { ...commit, point: { ...commit.point, seq: toSeq(at + 1) } }
  // Their own database: what they write was never in its WAL.
  await source.stop()
  await withClient((first) =>
    withClient(async (second) => {
      const sleeping = await LogWriter.claim(first, slot, 'first')
      await sleeping.log([commit])
      const taking = await LogWriter.claim(second, slot, 'second')
      await taking.log([commit, later])
      await expect(sleeping.log([later])).rejects.toMatchObject({ code: 'TW001' })
      await expect(sleeping.spill(3, [])).rejects.toMatchObject({ code: 'TW001' })
    }),
  )
  const { rows } = await pool().query('select seq::text from sync_changes where seq >= $1 order by seq', [at])
  expect(rows).toEqual([{ seq: String(at) }, { seq: String(at + 1) }])
})

test.for(['replication', 'tidewire log writer'])(
  'a connection that is cut off without a word is opened anew, while others stand: %s',
  async (connection) => {
    await source.stop()
    const proxy = await startCable(db.url ?? '')
    const near = await openDatabase({ database: { kind: 'postgres', url: proxy.url, poolSize: 2, readUrls: [] } })
    const reasons: unknown[] = []
    const log = { ...silentLog, error: (_: string, details: unknown) => reasons.push(details) }
    source = createWalSource({ database: near, clock: systemClock, random: systemRandom, log })
    try {
      await source.start(() => undefined)
      await untilWriter(source)
      proxy.freeze(connection)
      const { id } = await addTask(pool())
      const logged = async () => (await pool().query('select op from sync_changes where row_id = $1', [id])).rows
      await expect.poll(logged, { timeout: 90_000, interval: 200 }).toEqual([{ op: 'upsert' }])
      const why = connection === 'replication' ? 'cut off' : 'has not answered'
      expect(reasons).toContainEqual(expect.objectContaining({ error: expect.stringContaining(why) as unknown }))
    } finally {
      await source.stop()
      await near.close()
      await proxy.close()
    }
  },
)
