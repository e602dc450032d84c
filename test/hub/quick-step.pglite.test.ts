import { afterAll, beforeAll, expect, test } from 'vitest'
import { toSeq } from '../../protocol/seq.ts'
import type { RecentCommit } from '../../server/capture/change-source.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { inOneTransaction } from '../../server/db/db.ts'
import { QuickRows } from '../../server/hub/quick-rows.ts'
import { readQuickly, type QuickRead } from '../../server/hub/quick-step.ts'
import { createHomes } from '../../server/scope/homes.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { seedFixture } from '../support/fixtures.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await createTestDatabase()
})
afterAll(() => db.close())

test('a row is told by its commit, and not when a later one has deleted it, made it again and brought it to the same version', async () => {
  const { pool } = db.database
  await pool.query('select sync.ensure_epoch()')
  const { organizationId, projectId } = await seedFixture(pool)
  const values = [organizationId, projectId]
  const insert = 'insert into tasks (id, organization_id, project_id, title) values ($3, $1, $2, $4)'
  const id = '018f0000-0000-7000-8000-000000000001'
  await pool.query(insert, [...values, id, 'first'])
  const xid = await inOneTransaction(pool, async (client) => {
    await client.query(`update tasks set title = 'second' where id = $1`, [id])
    const { rows } = await client.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
    return Number(rows[0]?.xid)
  })
  const { rows } = await pool.query<{ channel: string; version: number }>(
    'select channel, version from tasks where id = $1',
    [id],
  )
  const { channel = '', version = 0 } = rows[0] ?? {}
  expect(version).toBe(2)
  const commit: RecentCommit = {
    point: { seq: toSeq(10), xid, at: 0 },
    keys: [
      {
        ...{ organizationId, channel, version, oldChannel: null, table: 'tasks', rowId: id, op: 'upsert' },
        origin: { mutation_id: null, origin_device_id: null },
      },
    ],
  }
  const catalog = loadCatalog()
  const request = {
    organizations: null,
    follows: () => true,
    watchAccess: true,
    embeddings: false,
    principals: () => [],
  }
  const read = (): Promise<QuickRead | undefined> =>
    readQuickly([commit], toSeq(5), request, {
      catalog,
      homes: createHomes(catalog),
      rows: new QuickRows(pool, catalog),
    })
  expect(await (await read())?.rows.byId('tasks', [id])).toEqual(
    new Map([[id, expect.objectContaining({ title: 'second', version: 2 })]]),
  )
  await inOneTransaction(pool, async (client) => {
    await client.query('delete from tasks where id = $1', [id])
    await client.query(insert, [...values, id, 'of a later commit'])
    await client.query(`update tasks set description = 'so too' where id = $1`, [id])
  })
  expect((await pool.query('select version from tasks where id = $1', [id])).rows).toEqual([{ version: 2 }])
  expect(await read()).toBeUndefined()
})

test('rows of more bytes than a heap should hold are left to a snapshot, which keeps them as they came', async () => {
  const { pool } = db.database
  await pool.query('select sync.ensure_epoch()')
  const { organizationId, projectId } = await seedFixture(pool)
  const rows = new QuickRows(pool, loadCatalog())
  const read = async (count: number, bytes: number) => {
    const { rows: added } = await pool.query<{ id: string; channel: string }>(
      `insert into tasks (organization_id, project_id, title, description)
       select $1, $2, n::text, repeat('x', $4::integer) from generate_series(1, $3::integer) n returning id, channel`,
      [organizationId, projectId, count, bytes],
    )
    const keys = added.map(({ id, channel }) => ({
      ...{ table: 'tasks', id, seq: toSeq(1), organizationId, channels: [channel], deleted: false, gone: false },
    }))
    return rows.read(keys, false)
  }
  expect((await read(500, 100))?.rows.size).toBe(500)
  expect(await read(10, 300_000)).toBeUndefined()
  expect(await read(500, 10_000)).toBeUndefined()
})
