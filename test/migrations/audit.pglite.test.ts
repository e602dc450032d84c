import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, type SqlRow, type World } from './rows.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database.pool)
})
afterAll(() => db.close())

const query = async (text: string, values: readonly unknown[] = []): Promise<SqlRow[]> =>
  (await db.database.pool.query(text, [...values])).rows
const add = (table: string, row: SqlRow) =>
  insert(db.database.pool, table, { organization_id: world.organization, ...row })
const logOf = (table: string, id: string) =>
  query('select * from audit_logs where table_name = $1 and row_id = $2 order by occurred_at, id', [table, id])

/** Writes in the name of the user, as pushes do. */
async function asUser(statement: string, values: readonly unknown[]): Promise<void> {
  const client = await db.database.pool.connect()
  await client.query(
    `begin; select set_config('app.organization_id', '${world.organization}', true), set_config('app.user_id', '${world.user}', true), set_config('role', 'app_rw', true)`,
  )
  await client.query(statement, [...values])
  await client.query('commit')
  client.release()
}

test('a change says who made it, and what was and is in the columns that changed', async () => {
  const permission = await add('agent_permissions', { agent_type: 'generic', tool_name: 'shell' })
  await asUser('update agent_permissions set allowed = true, reason = $2 where id = $1', [permission.id, 'trusted'])
  await query('delete from agent_permissions where id = $1', [permission.id])
  const [inserted, updated, deleted] = await logOf('agent_permissions', permission.id)
  expect(inserted).toMatchObject({
    action: 'insert',
    before: null,
    actor_user_id: null,
    organization_id: world.organization,
  })
  expect(updated).toMatchObject({
    action: 'update',
    actor_user_id: world.user,
    row_version: 2,
    changed_columns: ['allowed', 'reason'],
    before: { allowed: false, reason: null },
    after: { allowed: true, reason: 'trusted' },
  })
  expect(deleted).toMatchObject({
    action: 'delete',
    after: null,
    before: expect.objectContaining({ tool_name: 'shell' }),
  })
})

test('a secret that changes is named, and shown nowhere', async () => {
  const secret = Buffer.alloc(40, 'never to be seen')
  const credential = await add('credentials', {
    provider: 'github',
    kind: 'api_key',
    secret_ciphertext: secret,
    key_id: 'k1',
    fingerprint: secret,
  })
  await query('update credentials set secret_ciphertext = $2, last_four = $3 where id = $1', [
    credential.id,
    Buffer.alloc(40, 7),
    'abcd',
  ])
  const [inserted, updated] = await logOf('credentials', credential.id)
  expect(updated).toMatchObject({ changed_columns: ['last_four', 'secret_ciphertext'], after: { last_four: 'abcd' } })
  expect(JSON.stringify([inserted?.['after'], updated?.['before']])).not.toContain(secret.toString('hex'))
  const names = await query(
    `select distinct jsonb_object_keys(coalesce(before, '{}') || coalesce(after, '{}')) as name from audit_logs`,
  )
  expect(names.filter(({ name }) => /ciphertext|hash|fingerprint|endpoint_key/.test(String(name)))).toEqual([])
})

test('what changes with every use is no change', async () => {
  await query('update users set last_login_at = now() where id = $1', [world.user])
  const session = await insert(db.database.pool, 'auth_sessions', {
    user_id: world.user,
    refresh_token_hash: Buffer.alloc(32, 1),
    expires_at: new Date(2e12),
  })
  await query('update auth_sessions set refresh_token_hash = $2, expires_at = now() where id = $1', [
    session.id,
    Buffer.alloc(32, 2),
  ])
  await query('update auth_sessions set revoked_at = now() where id = $1', [session.id])
  expect((await logOf('users', world.user)).map(({ action }) => action)).toEqual(['insert'])
  expect((await logOf('auth_sessions', session.id)).map(({ changed_columns: changed }) => changed)).toEqual([
    expect.arrayContaining(['user_id']),
    ['revoked_at'],
  ])
})

test('an organization goes with all that is in it, and the log says so', async () => {
  const other = await createWorld(db.database.pool)
  const team = await insert(db.database.pool, 'teams', {
    organization_id: other.organization,
    name: 'Gone',
    slug: 'gone',
  })
  await query('delete from organizations where id = $1', [other.organization])
  expect(await logOf('teams', team.id)).toMatchObject([
    { action: 'delete', organization_id: null, details: { organizationId: other.organization } },
  ])
})

test('the tables of identity, permissions, prompts, prices, credentials and integrations are audited', async () => {
  const rows = await query(`select tgrelid::regclass::text as name from pg_trigger where tgname = 'z_audit' order by 1`)
  expect(rows.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      'organizations',
      'organization_members',
      'users',
      'user_credentials',
      'auth_sessions',
      'access_tokens',
      'teams',
      'team_memberships',
      'credentials',
      'agent_permissions',
      'prompts',
      'model_prices',
      'integrations',
      'webhooks',
    ]),
  )
})
