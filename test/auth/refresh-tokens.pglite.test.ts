// One line of refresh tokens per session: what a lost answer, a thief and a network that repeats do to it.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { systemRandom } from '../../lib/random.ts'
import { createAuth, createSignIn, type SignIn } from '../../server/auth/auth.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { seedFixture, seedUser, type Fixture } from '../support/fixtures.ts'
import { ManualClock } from '../support/manual-clock.ts'

const password = 'correct horse battery staple'
let db: TestDatabase
let fixture: Fixture
let clock: ManualClock
let signIn: SignIn
let auth: ReturnType<typeof createAuth>
let first: Awaited<ReturnType<SignIn['signIn']>>

beforeAll(async () => {
  db = await createTestDatabase()
  fixture = await seedFixture(db.database.pool)
})
afterAll(() => db.close())
beforeEach(async () => {
  clock = new ManualClock(Date.now())
  const parts = { pool: db.database.pool, clock, random: systemRandom }
  auth = createAuth({ ...parts, key: { kind: 'secret', bytes: new Uint8Array(32).fill(7) } })
  signIn = createSignIn({ ...parts, auth })
  const userId = await seedUser(db.database.pool, fixture.organizationId, 'member')
  await signIn.setPassword(userId, password)
  first = await signIn.signIn({ email: `member-${userId}@example.com`, password })
})

const refused = { code: 'token_invalid' }
const sessionOf = async (): Promise<unknown> =>
  (
    await db.database.pool.query(
      'select revoke_reason as reason from auth_sessions where user_id = $1 and revoked_at is not null',
      [first.principal.id],
    )
  ).rows

test('a token whose answer was lost may be used again within a minute, and what the lost answer gave is void', async () => {
  const lost = await signIn.refresh(first.refreshToken)
  await clock.advance(30_000)
  const again = await signIn.refresh(first.refreshToken)
  expect(again.refreshToken).not.toBe(lost.refreshToken)
  const next = await signIn.refresh(again.refreshToken)
  await expect(auth.authenticate(next.token)).resolves.toMatchObject({ id: first.principal.id })
  expect(await sessionOf()).toEqual([])
})

test('where two hold a token, the second to come with one that is void ends the session of both', async () => {
  const ours = await signIn.refresh(first.refreshToken)
  const thiefs = await signIn.refresh(first.refreshToken)
  await expect(signIn.refresh(ours.refreshToken)).rejects.toMatchObject(refused)
  await expect(signIn.refresh(thiefs.refreshToken)).rejects.toMatchObject(refused)
  await expect(auth.authenticate(thiefs.token)).rejects.toMatchObject(refused)
  expect(await sessionOf()).toEqual([{ reason: 'refresh token used again' }])
})

test('a token that is used again after a minute ends the session', async () => {
  const second = await signIn.refresh(first.refreshToken)
  await clock.advance(60_001)
  await expect(signIn.refresh(first.refreshToken)).rejects.toMatchObject(refused)
  await expect(signIn.refresh(second.refreshToken)).rejects.toMatchObject(refused)
})

test('a repeat does not lengthen the minute', async () => {
  await signIn.refresh(first.refreshToken)
  await clock.advance(40_000)
  await signIn.refresh(first.refreshToken)
  await clock.advance(40_000)
  await expect(signIn.refresh(first.refreshToken)).rejects.toMatchObject(refused)
})

test('a token of long ago ends the session, and so does signing out with it', async () => {
  const second = await signIn.refresh(first.refreshToken)
  const third = await signIn.refresh(second.refreshToken)
  await signIn.signOut(first.refreshToken)
  await expect(signIn.refresh(third.refreshToken)).rejects.toMatchObject(refused)
  expect(await sessionOf()).toEqual([{ reason: 'signed out' }])
})

test('a token used many times at once leaves one that is good', async () => {
  const answers = await Promise.all(Array.from({ length: 5 }, () => signIn.refresh(first.refreshToken)))
  const { rows } = await db.database.pool.query('select refresh_token_hash from auth_sessions where user_id = $1', [
    first.principal.id,
  ])
  expect([new Set(answers.map(({ refreshToken }) => refreshToken)).size, rows.length]).toEqual([5, 1])
  const good = await Promise.allSettled(answers.slice(-1).map(({ refreshToken }) => signIn.refresh(refreshToken)))
  expect(good.map(({ status }) => status)).toEqual(['fulfilled'])
})

test('who knows the session alone can end nothing', async () => {
  const { organizationId } = fixture
  await expect(signIn.refresh(`twr_${organizationId}_guess.guess`)).rejects.toMatchObject(refused)
  await signIn.signOut(`twr_${organizationId}_guess.guess`)
  await expect(signIn.refresh(first.refreshToken)).resolves.toBeDefined()
})

test('a session from before there were families goes on, and gets one', async () => {
  await db.database.pool.query('update auth_sessions set family_token_hash = null where user_id = $1', [
    first.principal.id,
  ])
  await signIn.refresh(first.refreshToken)
  await expect(signIn.refresh(first.refreshToken)).resolves.toBeDefined()
})
