import { afterAll, beforeAll, expect, test } from 'vitest'
import { anonymiseUser, deactivateUser } from '../../server/auth/auth.ts'
import { insertRow } from '../../server/db/db.ts'
import { newId, seedUser } from '../support/fixtures.ts'
import { RawClient } from '../support/raw-client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

let home: TestServer
beforeAll(async () => {
  home = await startTestServer()
})
afterAll(() => home.close())

const pool = () => home.server.database.pool
const one = async (text: string, values: readonly unknown[] = []): Promise<unknown> =>
  Object.values((await pool().query<Record<string, unknown>>(text, [...values])).rows[0] ?? {})[0]

test('who is deactivated loses the connection at once, and what they own goes to another owner', async () => {
  const { organizationId, ownerId, projectId, agentId } = home.fixture
  const leaves = { pool: pool(), userId: ownerId }
  await expect(deactivateUser(leaves)).rejects.toMatchObject({ code: 'constraint_violated' })
  const heir = await seedUser(pool(), organizationId, 'owner')
  const token = await home.userToken(ownerId)
  const { client } = await RawClient.greeted(home.url, token)

  const dry = await deactivateUser({ ...leaves, dryRun: true })
  expect(dry).toMatchObject({
    'projects handed over': 1,
    'agents handed over': 1,
    'accounts ended': 1,
    'devices ended': 1,
  })
  expect(await one('select status from users where id = $1', [ownerId])).toBe('active')
  expect(await deactivateUser(leaves)).toEqual(dry)

  await client.closed
  await expect(RawClient.greeted(home.url, token)).rejects.toThrow('The connection ended')
  expect(await one('select owner_user_id from projects where id = $1', [projectId])).toBe(heir)
  expect(await one('select owner_user_id from agents where id = $1', [agentId])).toBe(heir)
  expect(
    await one(`select details from audit_logs where action = 'user.deactivate' and row_id = $1`, [ownerId]),
  ).toEqual(dry)
  expect(await deactivateUser(leaves)).toEqual({})
})

test('of who is anonymised nothing is found in the database but their id', async () => {
  const { organizationId, projectId } = home.fixture
  const userId = await seedUser(pool(), organizationId, 'member')
  const [name, email] = ['Rumpelstiltskin', 'rumpel@example.com']
  await pool().query('update users set name = $2, email = $3 where id = $1', [userId, name, email])
  await insertRow(pool(), 'user_preferences', {
    id: newId(),
    organization_id: organizationId,
    user_id: userId,
    category: 'general',
    key: 'k',
    value: JSON.stringify(name),
  })
  await insertRow(pool(), 'tasks', {
    id: newId(),
    organization_id: organizationId,
    project_id: projectId,
    title: 'Spin straw',
    created_by_user_id: userId,
  })
  const dry = await anonymiseUser({ pool: pool(), userId, dryRun: true })
  expect(await one('select name from users where id = $1', [userId])).toBe(name)
  expect(await anonymiseUser({ pool: pool(), userId })).toEqual(dry)
  const { rows } = await pool().query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('public', 'sync') and c.relkind in ('r', 'p') and not c.relispartition`,
  )
  expect(rows.length).toBeGreaterThan(80)
  const found: string[] = []
  for (const { name: table } of rows)
    if ((await one(`select count(*)::int from ${table} t where t::text ilike '%rumpel%'`)) !== 0) found.push(table)
  expect(found).toEqual([])
  expect(await one('select count(*)::int from tasks where created_by_user_id = $1', [userId])).toBe(1)
  expect(await one('select status from users where id = $1', [userId])).toBe('deactivated')
})
