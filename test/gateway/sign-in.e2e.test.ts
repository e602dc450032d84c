import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { systemRandom } from '../../lib/random.ts'
import { createAuth, createSignIn, openSigningKey, type SignIn } from '../../server/auth/auth.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { RawClient } from '../support/raw-client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { seedUser } from '../support/fixtures.ts'
import { systemClock } from '../../lib/clock.ts'

const password = 'correct horse battery staple'

let running: TestServer
let signIn: SignIn
let userId: string
let email: string

beforeAll(async () => {
  running = await startTestServer({ config: { trustedProxies: ['127.0.0.0/8'] } })
  signIn = await open(systemClock)
})
afterAll(() => running.close())
beforeEach(async () => {
  userId = await seedUser(running.server.database.pool, running.fixture.organizationId, 'member')
  email = `member-${userId}@example.com`
  await signIn.setPassword(userId, password)
})

async function open(clock: Parameters<typeof createSignIn>[0]['clock']): Promise<SignIn> {
  const { pool } = running.server.database
  const parts = { pool, clock, random: systemRandom }
  return createSignIn({
    ...parts,
    auth: createAuth({ ...parts, key: await openSigningKey(running.config.auth, systemRandom) }),
  })
}

interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>> & { readonly error?: { readonly code: string } }
}

async function post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const response = await fetch(`${running.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Answer['body'] }
}
const enter = (more: Readonly<Record<string, unknown>> = {}): Promise<Answer> =>
  post('/auth/sign-in', { email, password, ...more })

describe('signing in', () => {
  test('gives a token that opens a connection', async () => {
    const { status, body } = await enter()
    expect(status).toBe(200)
    const { client, welcome } = await RawClient.greeted(running.url, String(body['token']))
    expect(welcome.principal).toEqual({ kind: 'user', id: userId })
    client.close()
  })

  test('says the same of an unknown address as of a wrong password', async () => {
    const wrong = await enter({ password: 'wrong password' })
    const unknown = await enter({ email: 'nobody@example.com' })
    expect(wrong).toEqual(unknown)
    expect(wrong).toMatchObject({ status: 401, body: { error: { code: 'sign_in_refused' } } })
    const { rows } = await running.server.database.pool.query(
      `select outcome, details, ip_address is not null as known from audit_logs where action = 'sign_in' and actor_user_id = $1`,
      [userId],
    )
    expect(rows).toEqual([{ outcome: 'denied', details: { reason: 'password' }, known: true }])
  })

  test('keeps the address that a trusted proxy tells, and none that a client behind it makes up', async () => {
    const { body } = await enter()
    expect(body).toHaveProperty('token')
    expect(
      (await post('/auth/sign-in', { email, password }, { 'x-forwarded-for': '10.9.9.9, 192.0.2.9' })).status,
    ).toBe(200)
    const { rows } = await running.server.database.pool.query(
      'select host(ip_address) as ip from auth_sessions where user_id = $1 order by id',
      [userId],
    )
    expect(rows).toEqual([{ ip: '127.0.0.1' }, { ip: '192.0.2.9' }])
  })

  test('takes the password in any form of Unicode, and not cut short', async () => {
    await signIn.setPassword(userId, 'pässwörter-überall')
    expect((await enter({ password: 'pässwörter-überall'.normalize('NFD') })).status).toBe(200)
    expect((await enter({ password: 'pässwörter-überal' })).status).toBe(401)
  })

  test.each([
    ['what is not JSON', 'nonsense', 400],
    ['an unknown field', { email: 'a@b', password, more: 1 }, 400],
    ['an address that cannot be stored', { email: 'a@b\u0000', password }, 400],
    ['a body without end', 'x'.repeat(10_000), 413],
  ])('refuses %s with a code', async (_, body, status) => {
    const answer = await post('/auth/sign-in', body)
    expect(answer).toMatchObject({ status, body: { error: { code: expect.any(String) } } })
  })

  test('from a foreign page is refused', async () => {
    expect(await post('/auth/sign-in', { email, password }, { origin: 'https://evil.example' })).toMatchObject({
      status: 403,
      body: { error: { code: 'origin_not_allowed' } },
    })
  })

  test('too often for one address has to wait, and others need not', async () => {
    const statuses: number[] = []
    for (let n = 0; n < 11; n++) statuses.push((await enter({ password: 'wrong password' })).status)
    expect(statuses.filter((status) => status === 401)).toHaveLength(10)
    expect(statuses.at(-1)).toBe(429)
    expect((await enter({ email: 'other@example.com' })).status).toBe(401)
  })
})

describe('wrong passwords', () => {
  /** The message in which a try ends, without its times. */
  const said = (guarded: SignIn, given: Parameters<SignIn['signIn']>[0]): Promise<string> =>
    guarded.signIn(given).then(
      () => 'signed in',
      (error: Error) => error.message.replace(/\d+/, 'n'),
    )

  test('are counted the same for known and unknown addresses, also many at once, and lock nobody out elsewhere', async () => {
    const clock = new ManualClock(Date.now())
    const guarded = await open(clock)
    const from = { password: 'wrong password', ipAddress: '192.0.2.1' }
    const answers = await Promise.all(
      [email, `nobody-${userId}@example.com`].map(async (address) =>
        (await Promise.all(Array.from({ length: 12 }, () => said(guarded, { email: address, ...from })))).toSorted(),
      ),
    )
    expect(answers[0]).toEqual(answers[1])
    expect(new Set(answers[0])).toEqual(
      new Set(['The e-mail address or the password is wrong.', 'There were too many wrong passwords; wait n s.']),
    )
    await expect(guarded.signIn({ ...from, email, password })).rejects.toMatchObject({ code: 'rate_limited' })
    await expect(guarded.signIn({ ...from, email, password, ipAddress: '192.0.2.2' })).resolves.toBeDefined()
    await clock.advance(15 * 60 * 1000 + 1)
    await expect(guarded.signIn({ ...from, email, password })).resolves.toMatchObject({ principal: { id: userId } })
  })

  test('from many places keep new places waiting, and none that the account was signed in to from', async () => {
    const guarded = await open(new ManualClock(Date.now()))
    await guarded.signIn({ email, password, ipAddress: '2001:db8::1' })
    for (let place = 0; place < 51; place++)
      await said(guarded, { email, password: 'wrong password', ipAddress: `198.51.100.${place}` })
    await expect(guarded.signIn({ email, password, ipAddress: '203.0.113.1' })).rejects.toMatchObject({
      code: 'rate_limited',
    })
    await expect(guarded.signIn({ email, password, ipAddress: '2001:db8::2' })).resolves.toBeDefined()
  })

  test('for many addresses are limited by the place they come from', async () => {
    const guarded = await open(new ManualClock(Date.now()))
    const answers: string[] = []
    for (let n = 0; n < 101; n++)
      answers.push(await said(guarded, { email: `${n}@example.com`, password: 'wrong', ipAddress: '192.0.2.7' }))
    expect(answers.filter((answer) => answer.startsWith('There were too many'))).toHaveLength(1)
    expect(await said(guarded, { email, password, ipAddress: '192.0.2.7' })).toContain('too many')
  })

  test('and the right one of an account that an operator has locked end alike', async () => {
    const guarded = await open(new ManualClock(Date.now()))
    const until = `update user_credentials set locked_until = now() + interval '1 day' where user_id = $1`
    await running.server.database.pool.query(until, [userId])
    expect(await said(guarded, { email, password })).toBe('The e-mail address or the password is wrong.')
  })
})

describe('a session', () => {
  test('goes on with its refresh token, each in the place of the one before', async () => {
    const first = String((await enter()).body['refreshToken'])
    const second = await post('/auth/refresh', { refreshToken: first })
    expect(second).toMatchObject({ status: 200, body: { principal: { id: userId } } })
    expect((await post('/auth/refresh', { refreshToken: second.body['refreshToken'] })).status).toBe(200)
    expect(await post('/auth/refresh', { refreshToken: first })).toMatchObject({
      status: 401,
      body: { error: { code: 'token_invalid' } },
    })
  })

  test('that is ended cuts the connection of its token', async () => {
    const { body } = await enter()
    const { client } = await RawClient.greeted(running.url, String(body['token']))
    expect((await post('/auth/sign-out', { refreshToken: body['refreshToken'] })).status).toBe(200)
    await client.closed
    expect(await post('/auth/refresh', { refreshToken: body['refreshToken'] })).toMatchObject({ status: 401 })
  })

  test('ends when the password is changed', async () => {
    const { body } = await enter()
    const { client } = await RawClient.greeted(running.url, String(body['token']))
    expect((await post('/auth/password', { email, password, newPassword: 'short' })).status).toBe(400)
    expect((await post('/auth/password', { email, password, newPassword: 'another long password' })).status).toBe(200)
    await client.closed
    expect((await enter()).status).toBe(401)
    expect((await enter({ password: 'another long password' })).status).toBe(200)
  })

  test('is stored without anything that would open it', async () => {
    const { body } = await enter()
    const { rows } = await running.server.database.pool.query<{ line: string }>(
      'select t::text as line from auth_sessions t union all select t::text from user_credentials t',
    )
    const all = rows.map(({ line }) => line).join('\n')
    expect(all).toContain('$argon2id$')
    for (const secret of [body['token'], body['refreshToken'], password]) expect(all).not.toContain(String(secret))
  })
})
