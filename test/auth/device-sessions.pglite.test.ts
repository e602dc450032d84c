// A session is of the device that came with it last, and ends with it: else a device that was revoked could come back
// as another one.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createAuth, createDeviceRegistry, createSignIn, type SignIn } from '../../server/auth/auth.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedFixture, seedUser, type Fixture } from '../support/fixtures.ts'

const password = 'correct horse battery staple'
let db: TestDatabase
let fixture: Fixture
let signIn: SignIn
let auth: ReturnType<typeof createAuth>
let devices: ReturnType<typeof createDeviceRegistry>
let session: Awaited<ReturnType<SignIn['signIn']>>

beforeAll(async () => {
  db = await createTestDatabase()
  fixture = await seedFixture(db.database.pool)
  const parts = { pool: db.database.pool, clock: systemClock, random: systemRandom }
  auth = createAuth({ ...parts, key: { kind: 'secret', bytes: new Uint8Array(32).fill(7) } })
  signIn = createSignIn({ ...parts, auth })
  devices = createDeviceRegistry(parts)
})
afterAll(() => db.close())
beforeEach(async () => {
  const userId = await seedUser(db.database.pool, fixture.organizationId, 'member')
  await signIn.setPassword(userId, password)
  session = await signIn.signIn({ email: `member-${userId}@example.com`, password })
})

const ended = { code: 'token_invalid' }

/** A device says hello with the token of the session. */
async function comes(fingerprint: string, token = session.token): Promise<string> {
  const who = await auth.authenticate(token)
  const device = { fingerprint, name: 'laptop', kind: 'cli', storageEngine: 'memory' } as const
  return (await devices.register(who, { device, clientSeq: 0 })).deviceId
}

const revoke = (deviceId: string) =>
  db.database.pool.query('update devices set revoked_at = now() where id = $1', [deviceId])

test('a device that is revoked ends the session that it came with', async () => {
  const other = await signIn.signIn({ email: `member-${session.principal.id}@example.com`, password })
  const deviceId = await comes(newId())
  await comes(newId(), other.token)
  await revoke(deviceId)
  await expect(auth.authenticate(session.token)).rejects.toMatchObject(ended)
  await expect(signIn.refresh(session.refreshToken)).rejects.toMatchObject(ended)
  await expect(comes(newId())).rejects.toMatchObject(ended)
  await expect(auth.authenticate(other.token)).resolves.toBeDefined()
})

test('a session goes with the device that uses it last, also when it is renewed on an open connection', async () => {
  const [first, second] = [await comes(newId()), await comes(newId())]
  await revoke(first)
  await expect(auth.authenticate(session.token)).resolves.toBeDefined()
  const later = await signIn.signIn({ email: `member-${session.principal.id}@example.com`, password })
  const { sessionId = '' } = await auth.authenticate(later.token)
  await devices.useSession(second, sessionId)
  await revoke(second)
  for (const { token } of [session, later]) await expect(auth.authenticate(token)).rejects.toMatchObject(ended)
})

test('a revoked device ends whatever session it comes with', async () => {
  const fingerprint = newId()
  await revoke(await comes(fingerprint))
  const later = await signIn.signIn({ email: `member-${session.principal.id}@example.com`, password })
  await expect(comes(fingerprint, later.token)).rejects.toMatchObject({ code: 'device_revoked' })
  await expect(auth.authenticate(later.token)).rejects.toMatchObject(ended)
})

test('a device of somebody else ends no session', async () => {
  const fingerprint = newId()
  await revoke(await comes(fingerprint))
  const userId = await seedUser(db.database.pool, fixture.organizationId, 'member')
  await signIn.setPassword(userId, password)
  const theirs = await signIn.signIn({ email: `member-${userId}@example.com`, password })
  await expect(comes(fingerprint, theirs.token)).rejects.toMatchObject({ code: 'device_principal_mismatch' })
  await expect(auth.authenticate(theirs.token)).resolves.toBeDefined()
})
