// What capture from the WAL needs, found and mended by the statements that the findings name.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createWalSource, walRequirements, type WalFinding } from '../../server/capture/capture.ts'
import { openDatabase, type Database } from '../../server/db/db.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilWriter } from '../support/log-writer.ts'
import { dropSlots, freeSlots } from '../support/postgres-admin.ts'

let db: TestDatabase
let own: Database
const role = `guest_${systemRandom.bytes(5).reduce((text, byte) => text + byte.toString(16), '')}`

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  await db.database.pool.query(`create role ${role} login`)
  await db.database.pool.query(`grant usage on schema public, sync to ${role}`)
  await db.database.pool.query(`grant all on all tables in schema public, sync to ${role}`)
  const url = Object.assign(new URL(db.url ?? ''), { username: role }).href
  own = await openDatabase({ database: { kind: 'postgres', url, poolSize: 2, readUrls: [] } })
})
afterAll(async () => {
  await own.close()
  const admin = db.database.pool
  await admin.query(`reassign owned by ${role} to current_user`)
  await admin.query(`drop owned by ${role}`)
  await admin.query(`drop role ${role}`)
  await db.close()
})

const source = () => createWalSource({ database: own, clock: systemClock, random: systemRandom, log: silentLog })
const missing = async (): Promise<readonly WalFinding[]> => (await walRequirements(own.pool)).filter(({ ok }) => !ok)

test('a role without rights is refused at the start, with every right and the statement that gives it', async () => {
  const one = source()
  const refused = await one
    .start(() => undefined)
    .then(
      () => undefined,
      (error: unknown) => error,
    )
  await one.stop()
  expect(refused).toMatchObject({ code: 'capture_unavailable' })
  expect(String(refused)).toContain(`replication right: ${role} lacks it\n    → ALTER ROLE "${role}" REPLICATION;`)
  expect(String(refused)).toContain(`right to publish: ${role} lacks it\n    → GRANT CREATE ON DATABASE`)
})

test('the statements of the findings mend it, without a superuser', async () => {
  const admin = db.database.pool
  for (const { fix } of await missing()) await admin.query(fix.split(';')[0] ?? '')
  expect((await missing()).map(({ what }) => what)).toEqual(['right to publish'])
  // What is left says: as the owner of the tables.
  const { rows } = await admin.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('public', 'sync') and c.relkind = 'r'`,
  )
  for (const { name } of rows) await admin.query(`alter table ${name} owner to ${role}`)
  expect(await missing()).toEqual([])
  await restartServer()
  expect((await walRequirements(own.pool)).find(({ what }) => what === 'replication slot')?.found).toMatch(
    /nobody reads it, holds/,
  )
  expect((await walRequirements(own.pool)).find(({ what }) => what === 'capture')?.found).toBe('from the WAL')
})

/** Of a database whose server captured from the WAL and is stopped. */
const spoilt = [
  ['that was dropped', 'drop publication %', 'does not exist'],
  ['that leaves out updates', `alter publication % set (publish = 'insert')`, 'leaves out some kinds'],
  ['robbed of a table', 'alter publication % drop table tasks', 'lacks tasks'],
  [
    'that has a filter',
    'alter publication % drop table tasks; alter publication % add table tasks (id, channel, organization_id, version) where (id is null)',
    'has a filter',
  ],
] as const

test.for(spoilt)('a publication %s is a problem, and its statement mends it', async ([, spoil, found]) => {
  const { rows } = await own.pool.query<{ name: string }>('select pubname as name from pg_publication')
  await own.pool.query(spoil.replaceAll('%', `"${rows[0]?.name}"`))
  const findings = await missing()
  expect(findings).toMatchObject([{ what: 'publication', made: true, found: expect.stringContaining(found) }])
  await mend(findings)
  // The statement names one table, or makes an empty publication: the server does the rest.
  if ((await missing()).length > 0) await restartServer()
  expect(await missing()).toEqual([])
})

test('a replica identity that was changed is a problem, and its statement mends it', async () => {
  await own.pool.query('alter table tasks replica identity default')
  const findings = await missing()
  expect(findings).toMatchObject([{ what: 'replica identity', found: expect.stringContaining('tasks') }])
  await mend(findings)
  expect(await missing()).toEqual([])
})

async function mend(findings: readonly WalFinding[]): Promise<void> {
  for (const { fix } of findings) await own.pool.query(/^(?:(?:ALTER|SELECT|CREATE) [^;]*;\s*)+/.exec(fix)?.[0] ?? '')
}

async function restartServer(): Promise<void> {
  const one = source()
  await one.start(() => undefined)
  await untilWriter(one)
  await one.stop()
  await freeSlots(own.pool)
}

test('a lost slot is a problem, and says that replicas will start over', async () => {
  await dropSlots(db.database.pool)
  expect(await missing()).toMatchObject([
    { what: 'replication slot', made: true, fix: expect.stringContaining('start over') },
  ])
})
