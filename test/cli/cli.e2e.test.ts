import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { insertRow, openDatabase } from '../../server/db/db.ts'
import { copyOfTemplate } from '../support/database.ts'
import { newId } from '../support/fixtures.ts'
import { RawClient } from '../support/raw-client.ts'
import { startServerProcess, type ServerProcess } from '../support/server-process.ts'

const cli = fileURLToPath(new URL('../../server/cli/tidewire.js', import.meta.url))
let dataDir: string
let server: ServerProcess

beforeAll(async () => {
  dataDir = await copyOfTemplate()
  server = await startServerProcess(dataDir)
})
afterAll(async () => {
  await server.stop()
  await rm(dirname(dataDir), { recursive: true, force: true })
})

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a command to its end, whatever that is. */
async function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = server.env,
  input = '',
): Promise<Ended> {
  const child = spawn(process.execPath, [cli, ...args], { env, stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.end(input)
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  return { code, out, err }
}

describe('while the embedded server runs', () => {
  test('token prints a token, alone, and it opens a connection', async () => {
    const { code, out } = await run(['token', '--user', 'ada@example.com', '--ttl', '5m'])
    expect(code).toBe(0)
    expect(out).toMatch(/^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/)
    const { client, welcome } = await RawClient.greeted(server.url, out.trim())
    expect(welcome.principal.kind).toBe('user')
    client.close()
    const agent = JSON.parse((await run(['token', '--agent', 'scout', '--org', 'demo', '--json'])).out) as {
      token: string
      principal: { kind: string }
    }
    expect(agent.principal.kind).toBe('agent')
  })

  test('token says who is unknown, and refuses nonsense as usage', async () => {
    expect(await run(['token', '--user', 'nobody@example.com'])).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('There is no user nobody@example.com') as string,
    })
    expect(await run(['token'])).toMatchObject({ code: 2, out: '' })
    expect(await run(['token', '--user', 'ada@example.com', '--ttl', 'forever'])).toMatchObject({ code: 2, out: '' })
    expect(await run(['no-such-command'])).toMatchObject({ code: 2, out: '' })
  })

  test('token --access makes one that tokens lists, and revoking it or its device ends the connection', async () => {
    const made = ['token', '--user', 'ada@example.com', '--access', '--name', 'CI', '--ttl', '90d', '--scope', 'read']
    const { code, out } = await run(made)
    expect(code).toBe(0)
    expect(out).toMatch(/^tw_[\w-]+\n$/)
    const { client, welcome } = await RawClient.greeted(server.url, out.trim())
    const { tokens } = JSON.parse((await run(['tokens', '--json'])).out) as { tokens: readonly { id: string }[] }
    expect(tokens).toMatchObject([{ name: 'CI', of: 'ada@example.com', scopes: ['read'] }])
    expect((await run(['devices'])).out).toContain(welcome.deviceId)
    expect(await run(['devices', 'revoke', welcome.deviceId])).toMatchObject({ code: 0 })
    expect(await client.next('error')).toMatchObject({ fatal: true, error: { code: 'device_revoked' } })
    const other = await RawClient.greeted(server.url, out.trim())
    expect(await run(['tokens', 'revoke', tokens[0]?.id ?? ''])).toMatchObject({ code: 0 })
    expect(await other.client.next('error')).toMatchObject({ fatal: true, error: { code: 'token_invalid' } })
    expect(await run(['tokens', 'revoke', tokens[0]?.id ?? ''])).toMatchObject({ code: 1 })
    expect(await run([...made, 'everything'])).toMatchObject({ code: 2, out: '' })
    expect(await run(['token', '--user', 'ada@example.com', '--access'])).toMatchObject({ code: 2, out: '' })
  })

  test('status, doctor and verify find a healthy database', async () => {
    const status = JSON.parse((await run(['status', '--json'])).out) as Record<string, unknown>
    expect(status).toMatchObject({ organizations: 1, users: 3, agents: 1, open_conflicts: 0 })
    const doctor = await run(['doctor', '--json'])
    expect(JSON.parse(doctor.out)).toMatchObject({ ok: true })
    expect(doctor.code).toBe(0)
    const verify = await run(['verify', '--json'])
    expect(verify.code).toBe(0)
    const { tables } = JSON.parse(verify.out) as { tables: ReadonlyArray<{ table: string; rows: number }> }
    expect(tables.find(({ table }) => table === 'tasks')).toMatchObject({ rows: 12, strayed: 0, unlogged: 0 })
  })

  test('migrate finds nothing to do, and seed makes the demo of the first start lively, once', async () => {
    expect(JSON.parse((await run(['migrate', '--json'])).out)).toEqual({ applied: [] })
    expect(JSON.parse((await run(['seed', '--demo', '--json'])).out)).toMatchObject({ created: true })
    expect(JSON.parse((await run(['seed', '--demo', '--json'])).out)).toMatchObject({ created: false })
    const status = JSON.parse((await run(['status', '--json'])).out) as Record<string, unknown>
    expect(status).toMatchObject({ organizations: 1, users: 4, agents: 3, open_conflicts: 1 })
  })

  test('a second server on the folder is refused with the code for it', async () => {
    expect(await run(['start'])).toMatchObject({ code: 3, err: expect.stringContaining(dataDir) as string })
  })

  test('conflicts lists an open one and settles it through the mutations room', async () => {
    const id = await withPool(async (pool) => openConflict(pool))
    const open = async (): Promise<readonly string[]> => {
      const listed = await run(['conflicts', '--json'])
      const { conflicts } = JSON.parse(listed.out) as { conflicts: ReadonlyArray<{ id: string }> }
      return conflicts.map((conflict) => conflict.id)
    }
    expect(await open()).toContain(id)
    expect(await run(['conflicts', 'resolve', id])).toMatchObject({ code: 2 })
    const resolved = await run(['conflicts', 'resolve', id, '--take', 'client', '--json'])
    expect(resolved.err).toBe('')
    expect(JSON.parse(resolved.out)).toMatchObject({ id, outcome: { kind: 'applied' } })
    expect(await open()).not.toContain(id)
    const title = await withPool(
      async (pool) =>
        (await pool.query<{ title: string }>(`select title from tasks where title = 'mine'`)).rows[0]?.title,
    )
    expect(title).toBe('mine')
    expect(await run(['conflicts', 'resolve', newId(), '--take', 'server'])).toMatchObject({ code: 1 })
  })

  test('password sets one that opens a session', async () => {
    const set = (input: string): Promise<Ended> =>
      run(['password', '--user', 'ada@example.com', '--must-change'], server.env, input)
    expect(await set('short\n')).toMatchObject({ code: 2, err: expect.stringContaining('10 to 200') as string })
    expect(await set('a password of ada\n')).toMatchObject({ code: 0, err: '' })
    const response = await fetch(`${server.url}/auth/sign-in`, {
      method: 'POST',
      body: JSON.stringify({ email: 'ada@example.com', password: 'a password of ada' }),
    })
    expect(await response.json()).toMatchObject({ token: expect.any(String) as string, mustChangePassword: true })
  })

  test('credentials are set, listed without their secret, encrypted anew and revoked', async () => {
    const key = (id: string): string => `${id}:${Buffer.alloc(32, id).toString('base64')}`
    const env = { ...server.env, ENCRYPTION_KEYS: key('k1') }
    const set = ['credentials', 'set', '--provider', 'openrouter', '--label', 'ci', '--json']
    expect(await run(set, server.env, 'sk-secret-0123456789')).toMatchObject({
      code: 1,
      err: expect.stringContaining('ENCRYPTION_KEYS') as string,
    })
    const { id } = JSON.parse((await run(set, env, 'sk-secret-0123456789\n')).out) as { id: string }
    const listed = await run(['credentials'], env)
    expect(listed.out).toContain('openrouter')
    expect(listed.out).toContain('…6789')
    expect(listed.out).not.toContain('sk-secret')
    const both = { ...env, ENCRYPTION_KEYS: `${key('k2')},${key('k1')}` }
    expect(JSON.parse((await run(['credentials', 'rotate', '--json'], both)).out)).toEqual({
      rotated: 1,
      unreadable: [],
    })
    expect(await run(['credentials', 'revoke', id], env)).toMatchObject({ code: 0 })
    expect(await run(['credentials', 'revoke', id], env)).toMatchObject({ code: 1 })
    expect(await run(['credentials', 'revoke', 'nonsense'], env)).toMatchObject({ code: 2 })
  })

  test('a credential is stored with all that can be said of one, and what is said wrongly is refused', async () => {
    const env = { ...server.env, ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 'k1').toString('base64')}` }
    const said = ['--user', 'ada@example.com', '--kind', 'oauth_token', '--label', 'mine', '--expires', '2099-01-02']
    const app = ['--account', 'Iv1.client', '--token-url', 'https://example.com/token', '--refresh']
    const own = ['credentials', 'set', '--provider', 'github', ...said, ...app, '--json']
    expect(await run(own, env, 'gho_0123456789abcdef\n')).toMatchObject({
      code: 2,
      err: expect.stringContaining('no second line') as string,
    })
    const stored = JSON.parse((await run(own, env, 'gho_0123456789abcdef\nghr_0123456789abcdef\n')).out) as {
      id: string
    }
    expect(JSON.parse((await run(['credentials', '--json'], env)).out)).toMatchObject({
      credentials: [
        {
          id: stored.id,
          provider: 'github',
          kind: 'oauth_token',
          label: 'mine',
          userId: expect.any(String) as string,
          lastFour: 'cdef',
          expiresAt: '2099-01-02T00:00:00.000Z',
        },
      ],
    })
    for (const [wrong, of] of [
      [['--kind', 'guess'], 'kind'],
      [['--expires', 'soon'], 'expires'],
      [['--user', 'nobody@example.com'], 'nobody@example.com'],
    ] as const)
      expect(await run(['credentials', 'set', '--provider', 'x', ...wrong], env, 'secret')).toMatchObject({
        code: expect.toSatisfy((code: number) => code !== 0) as number,
        err: expect.stringContaining(of) as string,
      })
  })

  test('rollback and migrate take back the newest migration and bring it again; who is connected goes on, or comes back', async () => {
    const tide = await connect({
      url: server.url,
      token: () => server.cli('token', '--user', 'ada@example.com'),
      replica: { kind: 'memory' },
      device: { name: 'beside', kind: 'cli' },
    })
    const { ready } = await tide.subscribe({ organization: true })
    await ready
    const newest = JSON.parse((await run(['rollback', '--dry-run', '--json'])).out) as { reverted: string }
    expect(JSON.parse((await run(['rollback', '--json'])).out)).toEqual({ ...newest, dryRun: false })
    expect(JSON.parse((await run(['migrate', '--json'])).out)).toEqual({ applied: [newest.reverted] })
    await vi.waitFor(async () => expect((await fetch(`${server.url}/ready`)).status).toBe(200), { timeout: 90_000 })
    const written = await tide.teams.insert({ name: 'After it', slug: 'after-it' })
    await written.$write.wait('synced')
    expect(
      await withPool(async (pool) => (await pool.query(`select from teams where slug = 'after-it'`)).rowCount),
    ).toBe(1)
    await tide.close()
  }, 300_000)

  type Pool = Awaited<ReturnType<typeof openDatabase>>['pool']

  async function withPool<T>(work: (pool: Pool) => Promise<T>): Promise<T> {
    const database = await openDatabase({ database: { kind: 'embedded', dataDir, poolSize: 2 } }, { mode: 'attach' })
    try {
      return await work(database.pool)
    } finally {
      await database.close()
    }
  }

  /** As the mutations room leaves one behind: ada's title lost against the row's. */
  async function openConflict(pool: Pool): Promise<string> {
    const { rows } = await pool.query<{
      id: string
      organization_id: string
      channel: string
      title: string
      user_id: string
    }>(
      `select t.id, t.organization_id, t.channel, t.title, u.id as user_id from tasks t, users u where u.email = 'ada@example.com' order by t.position limit 1`,
    )
    const [task] = rows
    if (!task) throw new Error('There is no task.')
    const id = newId()
    await insertRow(pool, 'sync_conflicts', {
      id,
      organization_id: task.organization_id,
      channel: task.channel,
      user_id: task.user_id,
      mutation_id: newId(),
      table_name: 'tasks',
      row_id: task.id,
      kind: 'field',
      base_version: 1,
      server_version: 1,
      fields: { title: { base: 'before', mine: 'mine', theirs: task.title } },
      client_patch: { title: 'mine' },
    })
    return id
  }
})

describe('without a server', () => {
  test('commands say that there is no database, and make none', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'tidewire-none-'))
    const env = { ...server.env, TIDEWIRE_DATA: empty }
    for (const command of [['status'], ['doctor'], ['conflicts'], ['verify'], ['token', '--user', 'ada@example.com']]) {
      expect(await run(command, env)).toMatchObject({
        code: 3,
        out: '',
        err: expect.stringContaining('npx tidewire start') as string,
      })
    }
    expect(await readdir(empty)).toEqual([])
    await rm(empty, { recursive: true })
  })

  test('seed makes the schema first, and commands say when there is none', async () => {
    const folder = await copyOfTemplate(false)
    const env = { ...server.env, TIDEWIRE_DATA: folder }
    expect(await run(['status'], env)).toMatchObject({
      code: 3,
      err: expect.stringContaining('npx tidewire migrate') as string,
    })
    expect(JSON.parse((await run(['seed', '--demo', '--json'], env)).out)).toMatchObject({ created: true })
    expect(JSON.parse((await run(['status', '--json'], env)).out)).toMatchObject({ organizations: 1 })
    await rm(dirname(folder), { recursive: true, force: true })
  }, 300_000)

  test('a taken port is named, with how to choose another', async () => {
    const other: Server = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const folder = await copyOfTemplate()
    const ended = await run(['start', '--json'], { ...server.env, TIDEWIRE_DATA: folder, PORT: String(port) })
    expect(ended.code).toBe(3)
    expect(JSON.parse(ended.err.trim())).toMatchObject({
      error: {
        code: 'port_in_use',
        message: expect.stringContaining(String(port)) as string,
        remedy: expect.stringContaining(`PORT=${port + 1}`) as string,
      },
    })
    other.close()
    await rm(dirname(folder), { recursive: true, force: true })
  })

  test('wrong settings are all named before anything is opened', async () => {
    const ended = await run(['start'], { ...server.env, PORT: 'x', LOG_LEVEL: 'loud' })
    expect(ended).toMatchObject({ code: 2, out: '' })
    expect(ended.err).toContain('PORT is "x"')
    expect(ended.err).toContain('LOG_LEVEL is "loud"')
  })

  test('generate prints the module of the client schema', async () => {
    expect((await run(['generate'])).out).toContain('export const shippedSchema')
  })
})

test('a command that comes while the server is still starting waits for it', async () => {
  const folder = await copyOfTemplate()
  const env = { ...server.env, TIDEWIRE_DATA: folder, PORT: '0' }
  const child = spawn(process.execPath, [cli, 'start'], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  await once(child.stderr, 'data') // it has begun to open the database
  const statuses = await Promise.all([run(['status', '--json'], env), run(['status', '--json'], env)])
  expect(statuses).toMatchObject([{ code: 0 }, { code: 0 }])
  child.kill('SIGTERM')
  await once(child, 'exit')
  await rm(dirname(folder), { recursive: true, force: true })
})

test('a start that is told to stop before it has ended stops, and the next one goes on from there', async () => {
  const folder = await copyOfTemplate()
  const env = { ...server.env, TIDEWIRE_DATA: folder, PORT: '0' }
  const child = spawn(process.execPath, [cli, 'start'], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'exit')
  await once(child.stderr, 'data') // it has begun to open the database
  child.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
  const next = await startServerProcess(folder)
  await next.stop()
  await rm(dirname(folder), { recursive: true, force: true })
})

test('start stops at SIGTERM with everything closed, and can be started again', async () => {
  const folder = await copyOfTemplate()
  const first = await startServerProcess(folder)
  await first.stop()
  const database = await openDatabase({ database: { kind: 'embedded', dataDir: folder, poolSize: 2 } })
  expect((await database.pool.query('select 1 from tasks')).rowCount).toBe(12)
  await database.close()
  await rm(dirname(folder), { recursive: true, force: true })
})
