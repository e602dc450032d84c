import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT, exportJWK, generateKeyPair } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createAuth, createDeviceRegistry, openSigningKey, type Auth, type SigningKey } from '../../server/auth/auth.ts'
import type { Principal } from '../../server/scope/principal.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { seedFixture, seedUser, type Fixture } from '../support/fixtures.ts'

let home: TestDatabase
let fixture: Fixture
let key: SigningKey
let skew = 0

/** The machine's clock, moved by `skew` milliseconds. */
const clock: Clock = { ...systemClock, now: () => systemClock.now() + skew }

beforeAll(async () => {
  home = await createTestDatabase()
  fixture = await seedFixture(home.database.pool)
  key = await openSigningKey({ kind: 'secret', secret: 'a secret of more than thirty-two characters' }, systemRandom)
})
afterAll(async () => home.close())

function auth(signingKey: SigningKey = key): Auth {
  return createAuth({ pool: home.database.pool, key: signingKey, clock, random: systemRandom })
}

function user(id: string): Principal {
  return { kind: 'user', id, organizationId: fixture.organizationId }
}

describe.each([
  ['a signed token', (who: Principal, seconds: number) => auth().issueToken(who, seconds)],
  [
    'an access token',
    (who: Principal, seconds: number) => auth().issueAccessToken(who, 'test', { ttlSeconds: seconds }),
  ],
] as const)('%s', (_, issue) => {
  test('names its user or agent, organization and end', async () => {
    for (const who of [
      user(fixture.memberId),
      { kind: 'agent', id: fixture.agentId, organizationId: fixture.organizationId } as const,
    ]) {
      // An end is of whole seconds.
      const earliest = Math.floor(clock.now() / 1000) * 1000 + 60_000
      const found = await auth().authenticate(await issue(who, 60))
      expect(found).toMatchObject(who)
      expect(found.expiresAt).toBeGreaterThanOrEqual(earliest)
      expect(found.expiresAt).toBeLessThanOrEqual(clock.now() + 60_000)
    }
  })

  test('is refused as expired after its end', async () => {
    const token = await issue(user(fixture.ownerId), 60)
    skew = 120_000
    await expect(auth().authenticate(token)).rejects.toMatchObject({ code: 'token_expired' })
    skew = 0
    await expect(auth().authenticate(token)).resolves.toMatchObject({ id: fixture.ownerId })
  })

  test.each([
    ['the user is suspended', `update users set status = 'suspended' where id = $1`],
    ['the user is deleted', 'update users set deleted_at = now() where id = $1'],
    ['the membership is suspended', `update organization_members set status = 'suspended' where user_id = $1`],
    ['the membership is deleted', 'update organization_members set deleted_at = now() where user_id = $1'],
  ])('is refused when %s', async (_, sql) => {
    const { pool } = home.database
    const id = await seedUser(pool, fixture.organizationId, 'member')
    const token = await issue(user(id), 60)
    await expect(auth().authenticate(token)).resolves.toMatchObject({ id })
    await pool.query(sql, [id])
    await expect(auth().authenticate(token)).rejects.toMatchObject({ code: 'token_invalid' })
  })

  test('is refused when the agent is retired, or the organization suspended', async () => {
    const { pool } = home.database
    const other = await seedFixture(pool)
    const agent = { kind: 'agent', id: other.agentId, organizationId: other.organizationId } as const
    const tokens = [
      await issue(agent, 60),
      await issue({ kind: 'user', id: other.ownerId, organizationId: other.organizationId }, 60),
    ]
    await pool.query(`update agents set lifecycle = 'retired' where id = $1`, [other.agentId])
    await expect(auth().authenticate(tokens[0] ?? '')).rejects.toMatchObject({ code: 'token_invalid' })
    await pool.query(`update organizations set status = 'suspended' where id = $1`, [other.organizationId])
    await expect(auth().authenticate(tokens[1] ?? '')).rejects.toMatchObject({ code: 'token_invalid' })
  })

  test('is refused for an organization of which its user is no member', async () => {
    const other = await seedFixture(home.database.pool)
    const token = await issue({ ...user(fixture.ownerId), organizationId: other.organizationId }, 60)
    await expect(auth().authenticate(token)).rejects.toMatchObject({ code: 'token_invalid' })
  })
})

describe('a token', () => {
  test.each(['', 'x', 'tw_unknown_secret', 'a.b.c', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.'])(
    'that is %j is refused',
    async (token) => {
      await expect(auth().authenticate(token)).rejects.toMatchObject({ code: 'token_invalid' })
    },
  )

  test('signed with another secret is refused', async () => {
    const other = await openSigningKey(
      { kind: 'secret', secret: 'another secret of more than thirty-two' },
      systemRandom,
    )
    const token = await auth(other).issueToken(user(fixture.ownerId), 60)
    await expect(auth().authenticate(token)).rejects.toMatchObject({ code: 'token_invalid' })
  })

  test('of the revocable kind is refused once revoked, and is nowhere in the database', async () => {
    const { pool } = home.database
    const token = await auth().issueAccessToken(user(fixture.ownerId), 'laptop')
    await expect(auth().authenticate(token)).resolves.toMatchObject({ id: fixture.ownerId })
    const { rows } = await pool.query<{ row: string }>(
      `select row_to_json(t)::text as row from access_tokens t where name = 'laptop'`,
    )
    expect(rows[0]?.row).not.toContain(token.split('_')[2])
    await pool.query(`update access_tokens set revoked_at = now() where name = 'laptop'`)
    await expect(auth().authenticate(token)).rejects.toMatchObject({ code: 'token_invalid' })
  })
})

describe('keys', () => {
  test('are made once in the data folder, for the owner only', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tidewire-key-'))
    const [first, second] = await Promise.all(
      [1, 2].map(async () => openSigningKey({ kind: 'stored', dataDir }, systemRandom)),
    )
    expect(first).toEqual(second)
    expect((await stat(join(dataDir, 'auth-secret'))).mode & 0o777).toBe(0o600)
    expect(Buffer.from(await readFile(join(dataDir, 'auth-secret'), 'utf8'), 'base64')).toHaveLength(32)
    await rm(dataDir, { recursive: true })
  })

  test('of another signer are fetched from its URL, and only its asymmetric signatures for this server count', async () => {
    const pair = await generateKeyPair('ES256')
    const server: Server = createServer((_, response) => {
      void exportJWK(pair.publicKey).then((jwk) =>
        response.end(JSON.stringify({ keys: [{ ...jwk, kid: 'k1', alg: 'ES256' }] })),
      )
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const remote = await openSigningKey(
      {
        kind: 'jwks',
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
        issuer: 'https://id.example.com',
        audience: 'tidewire',
      },
      systemRandom,
    )
    const claims = { kind: 'user', org: fixture.organizationId }
    const tokenOf = (iss: string, aud: string): Promise<string> =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
        .setSubject(fixture.ownerId)
        .setIssuer(iss)
        .setAudience(aud)
        .setExpirationTime('1m')
        .sign(pair.privateKey)
    const [ours, issuer] = ['tidewire', 'https://id.example.com']
    await expect(auth(remote).authenticate(await tokenOf(issuer, ours))).resolves.toMatchObject({ id: fixture.ownerId })
    for (const other of [tokenOf(issuer, 'another-app'), tokenOf('https://elsewhere.example.com', ours)])
      await expect(auth(remote).authenticate(await other)).rejects.toMatchObject({ code: 'token_invalid' })
    await expect(auth(remote).authenticate(await auth().issueToken(user(fixture.ownerId), 60))).rejects.toMatchObject({
      code: 'token_invalid',
    })
    await expect(auth(remote).issueToken(user(fixture.ownerId), 60)).rejects.toMatchObject({ code: 'forbidden' })
    server.close()
  })
})

describe('a device', () => {
  const hello = (fingerprint: string, clientSeq = 0) => ({
    device: { fingerprint, name: 'laptop', kind: 'cli', storageEngine: 'memory' } as const,
    clientSeq,
  })

  test('is made at its first hello and found again, also when two come at once', async () => {
    const devices = createDeviceRegistry({ pool: home.database.pool, clock, random: systemRandom })
    const found = await Promise.all(
      [1, 2, 3].map(async () => devices.register(user(fixture.ownerId), hello('first-device'))),
    )
    expect(new Set(found.map(({ deviceId }) => deviceId)).size).toBe(1)
    expect(found[0]?.clientSeq).toBe(0)
  })

  test('is refused to another principal, and once it is revoked', async () => {
    const { pool } = home.database
    const devices = createDeviceRegistry({ pool, clock, random: systemRandom })
    const { deviceId } = await devices.register(user(fixture.ownerId), hello('second-device'))
    await expect(devices.register(user(fixture.memberId), hello('second-device'))).rejects.toMatchObject({
      code: 'device_principal_mismatch',
    })
    await pool.query('update devices set revoked_at = now() where id = $1', [deviceId])
    await expect(devices.register(user(fixture.ownerId), hello('second-device'))).rejects.toMatchObject({
      code: 'device_revoked',
    })
  })
})
