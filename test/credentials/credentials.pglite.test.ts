import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { seededRandom, systemRandom } from '../../lib/random.ts'
import { refreshOne } from '../../server/integrations/refresh-credentials.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import {
  createCipher,
  createCredentials,
  type CredentialName,
  type Credentials,
  type EncryptionKey,
} from '../../server/credentials/credentials.ts'
import { insert, type SqlRow } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedFixture, type Fixture } from '../support/fixtures.ts'

const [old, fresh]: EncryptionKey[] = [1, 2].map((seed) => ({ id: `k${seed}`, key: seededRandom(seed).bytes(32) }))

let db: TestDatabase
let fixture: Fixture
beforeAll(async () => {
  db = await createTestDatabase()
})
afterAll(() => db.close())
beforeEach(async () => {
  await db.database.pool.query('delete from credentials')
  fixture = await seedFixture(db.database.pool)
})

function open(...keys: readonly (EncryptionKey | undefined)[]): Credentials {
  return createCredentials({
    pool: db.database.pool,
    cipher: createCipher(
      keys.filter((key) => key !== undefined),
      systemRandom,
    ),
    clock: systemClock,
    random: systemRandom,
  })
}

const name = (more: Partial<CredentialName> = {}): CredentialName => ({
  organizationId: fixture.organizationId,
  userId: null,
  provider: 'openrouter',
  kind: 'api_key',
  label: 'default',
  ...more,
})

/** All rows of all tables, as an unencrypted dump has them. */
async function dump(): Promise<string> {
  const { pool } = db.database
  const { rows: tables } = await pool.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('public', 'sync') and c.relkind in ('r', 'p') and not c.relispartition`,
  )
  const parts: string[] = []
  for (const { name: table } of tables) {
    const { rows } = await pool.query<{ line: string }>(`select t::text as line from ${table} t`)
    parts.push(...rows.map(({ line }) => line))
  }
  return parts.join('\n')
}

describe('a credential', () => {
  test('is read as it was stored, and nowhere to be seen in the database', async () => {
    const credentials = open(old)
    const secret = 'sk-or-v1-0123456789abcdef-END7'
    await credentials.store(name(), { secret, refresh: 'refresh-token-xyz' })
    expect(await credentials.read(name())).toEqual({ secret, refresh: 'refresh-token-xyz', expiresAt: undefined })
    const all = await dump()
    for (const text of [secret, 'refresh-token-xyz'])
      for (const form of [text, Buffer.from(text).toString('hex'), Buffer.from(text).toString('base64')])
        expect(all).not.toContain(form)
  })

  test('is audited when it is read, once a minute, and not handed out beyond its limit of the month', async () => {
    const { pool } = db.database
    const credentials = open(old)
    const id = await credentials.store(name(), { secret: 'sk-1' })
    const audited = async () =>
      (
        await pool.query(
          `select outcome, details from audit_logs where action = 'credential.read' and row_id = $1 order by occurred_at`,
          [id],
        )
      ).rows
    await credentials.read(name())
    await credentials.readById(fixture.organizationId, id)
    expect(await audited()).toMatchObject([
      { outcome: 'success', details: { provider: 'openrouter', kind: 'api_key' } },
    ])
    await credentials.limit(fixture.organizationId, id, 10)
    const spend = async (usd: number, at: string): Promise<void> => {
      const { rows } = await pool.query<{ id: string }>(
        `insert into token_usages (organization_id, credential_id, model, input_tokens, output_tokens, occurred_at)
         values ($1, $2, 'm', 1, 1, date_trunc('month', now() at time zone 'UTC') at time zone 'UTC' + $3::interval) returning id`,
        [fixture.organizationId, id, at],
      )
      // Of a model without a price.
      await pool.query('update token_usages set cost_usd = $2 where id = $1', [rows[0]?.id, usd])
    }
    await spend(99, '-1 second')
    await spend(9.5, '1 second')
    await expect(credentials.read(name())).resolves.toMatchObject({ secret: 'sk-1' })
    await spend(0.5, '2 seconds')
    await expect(credentials.read(name())).rejects.toMatchObject({ code: 'spend_limit_reached' })
    expect((await audited()).at(-1)).toMatchObject({ outcome: 'denied', details: { limitUsd: 10, spentUsd: 10 } })
    expect(JSON.stringify(await audited())).not.toContain('sk-1')
    await credentials.limit(fixture.organizationId, id, null)
    await expect(credentials.read(name())).resolves.toMatchObject({ secret: 'sk-1' })
    await expect(credentials.limit(fixture.organizationId, newId(), 1)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('counts the usage that was made with it, that of the user before that of the organization, whoever records it', async () => {
    const { pool } = db.database
    const credentials = open(old)
    const shared = await credentials.store(name(), { secret: 'shared' })
    const second = await credentials.store(name({ label: 'second' }), { secret: 'second' })
    const own = await credentials.store(name({ userId: fixture.memberId, label: 'mine' }), { secret: 'own' })
    const use = async (values: SqlRow): Promise<unknown> => {
      const usage = {
        organization_id: fixture.organizationId,
        model: 'm',
        input_tokens: 1,
        output_tokens: 1,
        ...values,
      }
      const { credential_id } = await insert(pool, 'token_usages', usage)
      return credential_id
    }
    expect(await use({})).toBe(shared)
    expect(await use({ metadata: { credentialLabel: 'second' } })).toBe(second)
    expect(await use({ user_id: fixture.memberId })).toBe(own)
    expect(await use({ user_id: fixture.ownerId })).toBe(shared)
    expect(await use({ provider: 'elsewhere' })).toBeNull()
    expect(await use({ metadata: { credentialLabel: 'third' } })).toBeNull()
    // So a limit is one, without anybody naming an id.
    await insert(pool, 'model_prices', {
      provider: 'openrouter',
      model: 'dear',
      input_cost_per_million: 100_000,
      output_cost_per_million: 0,
    })
    await credentials.limit(fixture.organizationId, shared, 5)
    await use({ model: 'dear', input_tokens: 50 })
    await expect(credentials.read(name())).rejects.toMatchObject({ code: 'spend_limit_reached' })
    await expect(credentials.read(name({ label: 'second' }))).resolves.toMatchObject({ secret: 'second' })
    expect(
      (await pool.query(`select user_id, kind from notifications where kind = 'credential.limit_reached'`)).rows,
    ).toContainEqual({ user_id: fixture.ownerId, kind: 'credential.limit_reached' })
  })

  test('that has ended is not handed out', async () => {
    const credentials = open(old)
    await credentials.store(name(), { secret: 'late', expiresAt: new Date(Date.now() - 1000) })
    await expect(credentials.read(name())).rejects.toMatchObject({ code: 'credential_expired' })
    const expiresAt = new Date(Date.now() + 3_600_000)
    await credentials.store(name(), { secret: 'new', expiresAt })
    expect(await credentials.read(name())).toMatchObject({ secret: 'new', expiresAt })
  })

  test('of a user is not the one of the organization', async () => {
    const credentials = open(old)
    await credentials.store(name(), { secret: 'organization' })
    await credentials.store(name({ userId: fixture.memberId }), { secret: 'member' })
    expect((await credentials.read(name())).secret).toBe('organization')
    expect((await credentials.read(name({ userId: fixture.memberId }))).secret).toBe('member')
    await expect(credentials.read(name({ userId: fixture.ownerId }))).rejects.toMatchObject({ code: 'not_found' })
  })

  test('stored again takes the place of the old one, also when two do so at once', async () => {
    const credentials = open(old)
    await Promise.all(['a', 'b', 'c'].map((secret) => credentials.store(name(), { secret })))
    const id = await credentials.store(name(), { secret: 'last' })
    expect((await credentials.read(name())).secret).toBe('last')
    expect(await credentials.list(fixture.organizationId)).toMatchObject([{ id, provider: 'openrouter' }])
  })

  test('shows the end of a long secret only', async () => {
    const credentials = open(old)
    await credentials.store(name({ label: 'long' }), { secret: '0123456789abcdef' })
    await credentials.store(name({ label: 'short' }), { secret: '0123456789abcde' })
    const shown = (await credentials.list(fixture.organizationId)).map(({ label, lastFour }) => [label, lastFour])
    expect(shown).toEqual([
      ['long', 'cdef'],
      ['short', null],
    ])
  })

  test('that is revoked is destroyed', async () => {
    const credentials = open(old)
    const id = await credentials.store(name(), { secret: 'gone' })
    await credentials.revoke(fixture.organizationId, id)
    await expect(credentials.read(name())).rejects.toMatchObject({ code: 'not_found' })
    await expect(credentials.revoke(fixture.organizationId, id)).rejects.toMatchObject({ code: 'not_found' })
    const { rows } = await db.database.pool.query('select secret_ciphertext from credentials where id = $1', [id])
    expect(rows[0].secret_ciphertext).toEqual(Buffer.alloc(29))
  })

  test('of another organization cannot be revoked', async () => {
    const id = await open(old).store(name(), { secret: 'mine' })
    await expect(open(old).revoke(newId(), id)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('moved to another row does not open', async () => {
    const credentials = open(old)
    const stolen = await credentials.store(name({ label: 'a' }), { secret: 'victim' })
    const thief = await credentials.store(name({ label: 'b' }), { secret: 'thief' })
    await db.database.pool.query(
      'update credentials set secret_ciphertext = (select secret_ciphertext from credentials where id = $1) where id = $2',
      [stolen, thief],
    )
    await expect(credentials.read(name({ label: 'b' }))).rejects.toMatchObject({ code: 'secret_unreadable' })
  })

  test('stays readable through a rotation of keys, and then without the old key', async () => {
    for (const label of ['a', 'b', 'c'])
      await open(old).store(name({ label }), { secret: `secret of ${label}`, refresh: label })
    const steps: string[] = []
    const { rotated } = await open(fresh, old).rotate((done, of) => steps.push(`${done}/${of}`))
    expect(rotated).toBe(steps.length)
    expect(steps.at(-1)).toBe(`${steps.length}/${steps.length}`)
    expect(await open(fresh, old).rotate()).toEqual({ rotated: 0, unreadable: [] })
    for (const label of ['a', 'b', 'c'])
      expect(await open(fresh).read(name({ label }))).toMatchObject({ secret: `secret of ${label}`, refresh: label })
    await expect(open(old).read(name({ label: 'a' }))).rejects.toMatchObject({ code: 'secret_unreadable' })
  })

  test('that cannot be read is named by a rotation, which does the others', async () => {
    const lost = await open({ id: 'lost', key: seededRandom(3).bytes(32) }).store(name({ label: 'a' }), {
      secret: 'lost',
    })
    await open(old).store(name({ label: 'b' }), { secret: 'kept' })
    expect(await open(fresh, old).rotate()).toEqual({ rotated: 1, unreadable: [lost] })
    expect((await open(fresh).read(name({ label: 'b' }))).secret).toBe('kept')
  })
})

describe('a token of OAuth that ends soon', () => {
  test.each(['github', 'linear'])('is renewed at %s, which takes a refresh token once', async (provider) => {
    const credentials = open(old)
    let valid = 'refresh-1'
    const asked: Record<string, string>[] = []
    const platform = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => {
        const given = Object.fromEntries(new URLSearchParams(body))
        asked.push(given)
        const good = given['refresh_token'] === valid && given['client_secret'] === 'app-secret'
        if (good) valid = `refresh-${asked.length + 1}`
        response.end(
          JSON.stringify(
            good
              ? { access_token: `token-${asked.length}`, refresh_token: valid, expires_in: 28_800 }
              : { error: 'bad_refresh_token' },
          ),
        )
      })
    })
    await new Promise<void>((resolve) => void platform.listen(0, '127.0.0.1', resolve))
    try {
      const token = name({ provider, kind: 'oauth_token' })
      const soon = new Date(Date.now() + 5 * 60_000)
      await credentials.store(token, { secret: 'token-0', refresh: valid, expiresAt: soon })
      const deps = { credentials, clock: systemClock, log: silentLog, allowPrivate: true, timeoutMs: 10_000 }
      const store = (expiresAt: Date, refresh: string) => credentials.store(token, { secret: 'x', refresh, expiresAt })
      // Without an application nobody can be asked.
      expect(await refreshOne(deps)).toBe(true)
      expect(asked).toEqual([])
      await credentials.store(name({ provider, kind: 'signing_key', label: 'oauth-app' }), {
        secret: 'app-secret',
        account: 'app-id',
        tokenUrl: `http://127.0.0.1:${(platform.address() as AddressInfo).port}/token`,
      })
      expect(await refreshOne(deps)).toBe(false)
      await store(soon, valid)
      expect(await Promise.all([refreshOne(deps), refreshOne(deps)])).toContain(true)
      expect(asked).toEqual([
        { grant_type: 'refresh_token', refresh_token: 'refresh-1', client_id: 'app-id', client_secret: 'app-secret' },
      ])
      const renewed = await credentials.read(token)
      expect(renewed).toMatchObject({ secret: 'token-1', refresh: 'refresh-2' })
      expect((renewed.expiresAt?.getTime() ?? 0) - Date.now()).toBeGreaterThan(28_000_000)
      expect(await refreshOne(deps)).toBe(false)
      // What the platform refuses is left as it is, and asked again later.
      await store(soon, 'forged')
      expect(await refreshOne(deps)).toBe(true)
      expect(await refreshOne(deps)).toBe(false)
      expect(await credentials.read(token)).toMatchObject({ secret: 'x', refresh: 'forged' })
      expect(asked).toHaveLength(2)
      // No request goes to a private address unless the server allows it.
      await store(soon, valid)
      expect(await refreshOne({ ...deps, allowPrivate: false })).toBe(true)
      expect(asked).toHaveLength(2)
    } finally {
      await new Promise<void>((resolve) => void platform.close(() => resolve()))
    }
  })
})
