import { afterAll, beforeAll, expect, it } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createCipher, createCredentials } from '../../server/credentials/credentials.ts'
import { workOne } from '../../server/integrations/work-queue.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { insert } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { seedFixture, type Fixture } from '../support/fixtures.ts'

let db: TestDatabase
let fixture: Fixture
beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  fixture = await seedFixture(db.database.pool)
})
afterAll(() => db.close())

it('many servers deal with each event once, and with those of one integration in order, also past one that fails', async () => {
  const { pool } = db.database
  const organization_id = fixture.organizationId
  const integrations: string[] = []
  for (const name of ['a', 'b', 'c']) {
    const { id } = await insert(pool, 'integrations', { organization_id, provider: 'generic', name, status: 'active' })
    integrations.push(id)
  }
  for (let n = 0; n < 20; n++)
    for (const integration_id of integrations) {
      const { id, occurred_at } = await insert(pool, 'integration_events', {
        organization_id,
        integration_id,
        provider: 'generic',
        event_type: `n${String(n).padStart(2, '0')}`,
        payload: { n },
      })
      await pool.query(
        `insert into sync.integration_queue (event_id, event_at, integration_id, direction) values ($1, $2, $3, 'inbound')`,
        [id, occurred_at, integration_id],
      )
    }
  // The first of b cannot be published until it is mended.
  await pool.query(
    `alter table events add constraint mended check (subject_id <> '${integrations[1]}' or type <> 'generic.n00') not valid`,
  )
  const deps = {
    pool,
    credentials: createCredentials({
      pool,
      cipher: createCipher([], systemRandom),
      clock: systemClock,
      random: systemRandom,
    }),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    allowPrivate: false,
    timeoutMs: 1000,
    maxAttempts: 1000,
  }
  const untilIdle = async (): Promise<void> => {
    while (await workOne(deps));
  }
  const published = async (integration: string | undefined): Promise<readonly unknown[]> =>
    (await pool.query('select type from events where subject_id = $1 order by seq', [integration])).rows.map(
      (row: { type: string }) => row.type,
    )
  const all = Array.from({ length: 20 }, (_, n) => `generic.n${String(n).padStart(2, '0')}`)
  // A server that finds all heads taken by others is idle for a moment: they go on until nothing is left but b.
  const rest = async (): Promise<number> =>
    (
      await pool.query(`select 1 from sync.integration_queue where due_at <= now() and integration_id <> $1`, [
        integrations[1],
      ])
    ).rowCount ?? 0
  do await Promise.all([1, 2, 3, 4].map(untilIdle))
  while ((await rest()) > 0)
  expect(await published(integrations[0])).toEqual(all)
  expect(await published(integrations[1])).toEqual([])
  expect(await published(integrations[2])).toEqual(all)
  const { rows } = await pool.query(
    `select status from integration_events where status <> 'processed' and integration_id <> '${integrations[1]}' or status = 'failed'`,
  )
  expect(rows).toEqual([{ status: 'failed' }])

  await pool.query('alter table events drop constraint mended')
  await pool.query('update sync.integration_queue set due_at = now()')
  do await Promise.all([1, 2, 3, 4].map(untilIdle))
  while (((await pool.query('select 1 from sync.integration_queue')).rowCount ?? 0) > 0)
  expect(await published(integrations[1])).toEqual(all)
})
