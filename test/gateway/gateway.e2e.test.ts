import { describe, expect, test } from 'vitest'
import { systemClock as clock } from '../../lib/clock.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { newId } from '../support/fixtures.ts'
import { helloOf, RawClient } from '../support/raw-client.ts'
import { useGateway } from './use-gateway.ts'

const logged: string[] = []
const note = (message: string, details?: object): void => void logged.push(JSON.stringify({ message, ...details }))
const on = useGateway({
  limits: { connectionsPerAddress: 2 },
  config: { trustedProxies: ['127.0.0.0/8'] },
  log: { error: note, info: note, debug: note },
})
const { greeted, connected, insertTask } = on

describe('a connection', () => {
  test('is welcomed with who it is, where the log is, and what is allowed', async () => {
    const { welcome } = await greeted()
    expect(welcome).toMatchObject({
      protocol: 1,
      resume: false,
      organizationId: on.home.fixture.organizationId,
      principal: { kind: 'user', id: on.home.fixture.memberId },
      clientSeq: 0,
      limits: { messageBytes: on.home.config.limits.messageBytes, pushMutations: 100 },
    })
    expect(welcome.epoch).not.toBe('')
    expect(welcome.tokenExpiresAt).toBeGreaterThan(clock.now())
  })

  test('of a page is welcomed from this machine, and refused in words from elsewhere', async () => {
    const near = await RawClient.connect(on.home.url, 'http://localhost:5173')
    const far = await RawClient.connect(on.home.url, 'https://evil.example')
    on.closeAfter(near)
    on.closeAfter(far)
    near.send(helloOf(on.token))
    expect((await near.next('welcome')).principal.id).toBe(on.home.fixture.memberId)
    expect(await far.next('error')).toMatchObject({
      fatal: true,
      error: { code: 'origin_not_allowed', message: expect.stringContaining('https://evil.example') as string },
    })
    await far.closed
  })

  test('that is large before its client is known is cut, and counts by its public address', async () => {
    const client = await connected()
    client.sendBytes(new Uint8Array(on.home.config.limits.helloBytes + 1))
    expect(await client.next('error')).toMatchObject({ fatal: true, error: { code: 'message_too_large' } })
    const larger = await connected()
    larger.sendBytes(new Uint8Array(on.home.config.limits.helloBytes * 2))
    await larger.closed
    expect(larger.count('error')).toBe(0)
    const from = async (address: string): Promise<RawClient> => {
      const coming = await RawClient.connect(on.home.url, undefined, { 'x-forwarded-for': address })
      on.closeAfter(coming)
      return coming
    }
    const here = [await from('9.9.9.9'), await from('9.9.9.9')]
    expect(await (await from('9.9.9.9')).next('error')).toMatchObject({ error: { code: 'too_many_connections' } })
    for (const coming of [...here, await from('9.9.9.8'), await from('10.0.0.1')]) {
      coming.send(helloOf(on.token, { device: { ...helloOf(on.token).device, fingerprint: newId() } }))
      expect((await coming.next('welcome')).type).toBe('welcome')
    }
  })

  test.each([
    ['of another protocol version', { protocol: 99 }, 'protocol_unsupported'],
    ['with a token that nobody signed', { token: 'nonsense' }, 'token_invalid'],
  ])('%s is refused with a code', async (_, hello, code) => {
    const client = await connected()
    client.send(helloOf(on.token, hello))
    expect(await client.next('error')).toMatchObject({ fatal: true, error: { code } })
    await client.closed
  })

  test('whose replica belongs to another user is refused', async () => {
    const hello = helloOf(on.token)
    await greeted(on.token, hello)
    const other = await connected()
    other.send({ ...hello, token: await on.home.userToken(on.home.fixture.ownerId) })
    expect(await other.next('error')).toMatchObject({ fatal: true, error: { code: 'device_principal_mismatch' } })
  })

  test('whose replica is older than what its device has sent is told that it is a copy', async () => {
    const hello = helloOf(on.token, { clientSeq: 5 })
    const { client } = await greeted(on.token, hello)
    client.send({ type: 'push', mutations: [insertTask(1, 'one'), insertTask(2, 'two')] })
    await client.next('outcomes')
    const copy = await connected()
    copy.send({ ...hello, clientSeq: 1 })
    expect(await copy.next('error')).toMatchObject({ fatal: true, error: { code: 'device_cloned' } })
    const back = await greeted(on.token, { ...hello, clientSeq: 2 })
    expect(back.welcome.clientSeq).toBe(2)
  })

  test('takes the place of an older one of the same device', async () => {
    const hello = helloOf(on.token)
    const { client: older } = await greeted(on.token, hello)
    const { client: newer } = await greeted(on.token, hello)
    await older.closed
    expect(newer.isClosed).toBe(false)
  })

  test('is not heard before its welcome, and greets once', async () => {
    const early = await connected()
    early.send({ type: 'ack', seq: 0 })
    expect(await early.next('error')).toMatchObject({ fatal: true, error: { code: 'bad_message' } })
    const { client } = await greeted()
    client.send(helloOf(on.token))
    expect(await client.next('error')).toMatchObject({ fatal: false, error: { code: 'bad_message' } })
  })
})

describe('a session', () => {
  test('gets the outcomes of its pushes in order, and its own rows back', async () => {
    const { client } = await greeted()
    client.send({
      type: 'subscribe',
      subscriptions: [
        { id: 's', channel: `project/${on.home.fixture.projectId}`, tables: ['tasks'], embeddings: false, held: false },
      ],
    })
    expect((await client.next('subscribed')).error).toBeUndefined()
    client.send({ type: 'page', subscription: 's', after: null })
    const page = await client.next('page')
    client.send({ type: 'activate', subscription: 's', from: page.from })
    expect((await client.next('batch')).activated).toEqual(['s'])
    const mutations = [1, 2, 3, 4].map((clientSeq) => insertTask(clientSeq, `task ${clientSeq}`))
    for (const mutation of mutations) client.send({ type: 'push', mutations: [mutation] })
    for (const { id } of mutations) {
      expect((await client.next('outcomes')).outcomes).toMatchObject([{ mutationId: id, kind: 'applied' }])
    }
    const settled = new Set<string>()
    while (settled.size < mutations.length) for (const id of (await client.next('batch')).settled) settled.add(id)
    expect(settled).toEqual(new Set(mutations.map(({ id }) => id)))
  })

  test('is told about each bad frame and goes on, until there are too many in a row', async () => {
    const { client } = await greeted()
    const { badFrames } = on.home.config.limits
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < badFrames - 1; index++) client.sendBytes(new Uint8Array([1, 2, 3]))
      for (let index = 0; index < badFrames - 1; index++)
        expect(await client.next('error')).toMatchObject({ fatal: false, error: { code: 'bad_frame' } })
      client.send({ type: 'ack', seq: 0 })
    }
    for (let index = 0; index < badFrames; index++) client.sendBytes(new Uint8Array([1, 2, 3]))
    expect(await client.next('error', ({ fatal }) => fatal)).toMatchObject({ error: { code: 'bad_frame' } })
    await client.closed
  })

  test('is told that a frame is too large', async () => {
    const { client } = await greeted()
    client.sendBytes(new Uint8Array(on.home.config.limits.messageBytes + 1))
    expect(await client.next('error')).toMatchObject({ fatal: false, error: { code: 'message_too_large' } })
  })

  test('is told that an action or a subscription of what it may not see does not exist for it', async () => {
    const { client } = await greeted()
    client.send({ type: 'call', ref: 7, id: newId(), action: 'no.such', input: null })
    expect(await client.next('error', ({ ref }) => ref === 7)).toMatchObject({
      fatal: false,
      error: { code: 'not_found' },
    })
    client.send({
      type: 'subscribe',
      subscriptions: [{ id: 'x', channel: `user/${on.home.fixture.ownerId}`, embeddings: false, held: false }],
    })
    expect((await client.next('subscribed', ({ id }) => id === 'x')).error?.code).toBe('forbidden')
  })

  test('ends when its token does, unless it brings a new one of the same user', async () => {
    const [short, renewed] = [
      await on.home.userToken(on.home.fixture.memberId, 1),
      await on.home.userToken(on.home.fixture.memberId, 3600),
    ]
    const [ending, staying] = [await greeted(short), await greeted(short)]
    staying.client.send({ type: 'authenticate', ref: 1, token: await on.home.userToken(on.home.fixture.ownerId) })
    expect(await staying.client.next('error')).toMatchObject({ ref: 1, fatal: false, error: { code: 'token_invalid' } })
    staying.client.send({ type: 'authenticate', ref: 2, token: renewed })
    expect((await staying.client.next('authenticated')).ref).toBe(2)
    expect(await ending.client.next('error')).toMatchObject({ fatal: true, error: { code: 'token_expired' } })
    await ending.client.closed
    expect(staying.client.isClosed).toBe(false)
  })

  test('ends when its device is revoked', async () => {
    const { client, welcome } = await greeted()
    await on.home.server.database.pool.query('update devices set revoked_at = now() where id = $1', [welcome.deviceId])
    expect(await client.next('error')).toMatchObject({ fatal: true, error: { code: 'device_revoked' } })
    await client.closed
  })

  test('of an access token does what its scopes say, and ends when the token is revoked', async () => {
    const owner = await greeted(await on.home.userToken(on.home.fixture.ownerId))
    const call = async (action: string, input: Json) => {
      owner.client.send({ type: 'call', ref: 1, id: newId(), action, input })
      return (await owner.client.next('called')).result as { readonly token: string; readonly tokenId: string }
    }
    const { token: access, tokenId } = await call('tokens.issue', { name: 'dashboard', scopes: ['read'] })
    const { client } = await greeted(access)
    client.send({ type: 'push', mutations: [insertTask(1, 'not by this token')] })
    expect((await client.next('outcomes')).outcomes).toMatchObject([{ kind: 'rejected', error: { code: 'forbidden' } }])
    await call('tokens.revoke', { tokenId })
    expect(await client.next('error')).toMatchObject({ fatal: true, error: { code: 'token_invalid' } })
    await client.closed
    expect(owner.client.isClosed).toBe(false)
  })
})

describe('search', () => {
  test('finds by vector and by words only what the principal may read', async () => {
    const { pool } = on.home.server.database
    const { organizationId, ownerId, projectId } = on.home.fixture
    const vector = (hot: number): number[] => Array.from({ length: 384 }, (_, index) => (index === hot ? 1 : 0))
    const insert = `insert into memories (organization_id, scope, project_id, user_id, content, embedding, embedding_status) values ($1, $2, $3, $4, $5, $6, 'ready')`
    await pool.query(insert, [
      organizationId,
      'project',
      projectId,
      null,
      'The staging deploy needs the VPN',
      JSON.stringify(vector(1)),
    ])
    await pool.query(insert, [
      organizationId,
      'user',
      null,
      ownerId,
      'The deploy secret of the owner',
      JSON.stringify(vector(1)),
    ])
    await pool.query(insert, [
      organizationId,
      'project',
      projectId,
      null,
      'Lunch is at noon',
      JSON.stringify(vector(2)),
    ])
    const { client } = await greeted()
    client.send({
      type: 'search',
      ref: 1,
      table: 'memories',
      embedding: Buffer.from(Float32Array.from(vector(1)).buffer).toString('base64'),
      limit: 10,
    })
    const byVector = await client.next('found')
    expect(byVector.hits.map(({ score }) => Math.round(score * 1000) / 1000)).toEqual([1, 0])
    client.send({ type: 'search', ref: 2, table: 'memories', text: 'why does the deploy fail', limit: 10 })
    const byWords = await client.next('found')
    expect(byWords.hits).toHaveLength(1)
    expect(byWords.hits[0]?.id).toBe(byVector.hits[0]?.id)
    expect(byWords.blocks[0]?.count).toBe(1)
    client.send({
      type: 'search',
      ref: 3,
      table: 'memories',
      embedding: Buffer.from(new Float32Array(3).buffer).toString('base64'),
      limit: 10,
    })
    expect(await client.next('error')).toMatchObject({ ref: 3, error: { code: 'invalid_value' } })
    client.send({ type: 'search', ref: 4, table: 'access_tokens', text: 'x', limit: 10 })
    expect(await client.next('error')).toMatchObject({ ref: 4, error: { code: 'unknown_table' } })
  })
})

describe('the HTTP side', () => {
  test('says that it is alive, ready, and counts', async () => {
    const [health, ready, metrics, page, missing] = await Promise.all(
      ['/health', '/ready', '/metrics', '/', '/nowhere'].map(async (path) => fetch(`${on.home.url}${path}`)),
    )
    expect([health, ready, metrics, page, missing].map((response) => response?.status)).toEqual([
      200, 200, 200, 200, 404,
    ])
    expect(await ready?.json()).toMatchObject({
      ready: true,
      checks: expect.arrayContaining([
        expect.objectContaining({ name: 'database', ok: true, unit: 'ms', limit: 2000 }),
        expect.objectContaining({ name: 'canary', ok: true, limit: 30_000 }),
      ]),
    })
    expect(await metrics?.text()).toContain('tidewire_messages_total{type="hello"}')
    expect(await page?.text()).toContain('<h1>Tidewire</h1>')
    expect((await fetch(`${on.home.url}/health`, { method: 'POST' })).status).toBe(405)
  })
})

describe('the log', () => {
  /** From now on Postgres complains of each row that is inserted, and quotes the value. */
  async function complainOf(table: string, column: string): Promise<void> {
    await on.home.server.database.pool.query(`
      create or replace function sync.quote_${column}() returns trigger language plpgsql as $$
        begin raise exception 'no room for "%"', new.${column} using errcode = 'P0002'; end $$;
      create trigger quote before insert on ${table} for each row execute function sync.quote_${column}()`)
  }

  test('has no value that Postgres quotes, neither of a write nor of a request', async () => {
    const { client } = await greeted(await on.home.userToken(on.home.fixture.ownerId))
    await complainOf('tasks', 'title')
    await complainOf('sync.invitations', 'email')
    try {
      client.send({ type: 'push', mutations: [insertTask(1, 'hunter2')] })
      expect((await client.next('outcomes')).outcomes).toMatchObject([
        { kind: 'rejected', error: { code: 'internal' } },
      ])
      client.send({
        type: 'call',
        ref: 1,
        id: newId(),
        action: 'members.invite',
        input: { email: 'hunter2@example.com' },
      })
      expect(await client.next('error')).toMatchObject({ ref: 1, error: { code: 'internal' } })
    } finally {
      await on.home.server.database.pool.query('drop trigger quote on tasks; drop trigger quote on sync.invitations')
    }
    const lines = logged.filter((line) => line.includes('SQLSTATE P0002'))
    expect(lines.map((line) => /"message":"(.*?)"/.exec(line)?.[1])).toEqual(['A mutation failed', 'A request failed'])
    expect(logged.join('\n')).not.toContain('hunter2')
  })
})
