// A transaction of a device begins only while its token is in the database as it was when it was looked at.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createAuth, createSignIn, openSigningKey } from '../../server/auth/auth.ts'
import { inDeviceTransaction } from '../../server/scope/device-transaction.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { seedDevice, seedFixture } from '../support/fixtures.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await createTestDatabase()
})
afterAll(() => db.close())

/** Somebody on a device, with a token of either kind. */
async function bearers(): Promise<Record<'access token' | 'session', DevicePrincipal>> {
  const { pool } = db.database
  const parts = { pool, clock: systemClock, random: systemRandom }
  const auth = createAuth({
    ...parts,
    key: await openSigningKey({ kind: 'secret', secret: 'x'.repeat(32) }, systemRandom),
  })
  const { organizationId, memberId } = await seedFixture(pool)
  const device = await seedDevice(pool, { organizationId, kind: 'user', id: memberId })
  const signIn = createSignIn({ ...parts, auth })
  const [password, email] = ['correct horse battery staple', `member-${memberId}@example.com`]
  await signIn.setPassword(memberId, password)
  const session = await auth.authenticate((await signIn.signIn({ email, password })).token)
  const scopes = ['read', `it's`]
  const token = await auth.authenticate(await auth.issueAccessToken(device, 'test', { ttlSeconds: 3600, scopes }))
  return { session: { ...session, ...device }, 'access token': { ...token, ...device } }
}

const roleIn = (principal: DevicePrincipal): Promise<unknown> =>
  inDeviceTransaction(
    { pool: db.database.pool, clock: systemClock, random: systemRandom },
    principal,
    async ({ client }) => (await client.query('select current_user as role')).rows,
  )

test.each([
  ['access token', 'revoked', 'update access_tokens set revoked_at = now() where user_id = $1'],
  ['access token', 'deleted', 'delete from access_tokens where user_id = $1'],
  ['access token', 'ended', `update access_tokens set expires_at = now() - interval '1 s' where user_id = $1`],
  ['access token', 'narrowed', `update access_tokens set scopes = '{read}' where user_id = $1`],
  ['session', 'signed out', 'update auth_sessions set revoked_at = now() where user_id = $1'],
] as const)('one of whose %s was %s begins no transaction', async (kind, _, statement) => {
  const all = await bearers()
  const bearer = all[kind]
  expect(await roleIn(bearer)).toEqual([{ role: 'app_rw' }])
  await db.database.pool.query(statement, [bearer.id])
  await expect(roleIn(bearer)).rejects.toMatchObject({ code: 'token_invalid' })
  // What ends is that token alone.
  expect(await roleIn(all[kind === 'session' ? 'access token' : 'session'])).toEqual([{ role: 'app_rw' }])
})
