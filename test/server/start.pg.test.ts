// A start that fails leaves nothing open, however far it came.
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { loadConfig, type Config } from '../../server/config.ts'
import { createServer, type TideServer } from '../../server/server.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let db: TestDatabase
let folder: string
let config: Config
const patience = { timeout: 60_000, interval: 50 }

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  folder = await mkdtemp(join(tmpdir(), 'tidewire-test-'))
  config = loadConfig({
    TIDEWIRE_DATA: folder,
    DATABASE_URL: db.url,
    AUTH_SECRET: 'a-secret-of-this-test-and-of-nothing-else',
    // Nothing answers there: the connection is tried again until it is given up.
    REDIS_URL: 'redis://127.0.0.1:1',
    PORT: '0',
  })
})
afterAll(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** Backends of the database but those of this test, and readers of its slots. */
async function openConnections(): Promise<readonly string[]> {
  const { rows } = await db.database.pool.query<{ name: string }>(
    `select application_name || ' ' || backend_type as name from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() order by 1`,
  )
  return rows.map(({ name }) => name)
}

async function failToStart(server: TideServer): Promise<unknown> {
  const error = await server.listen().then(
    () => undefined,
    (reason: unknown) => reason,
  )
  await vi.waitFor(async () => expect(await openConnections()).toEqual([]), patience)
  return error
}

test('a start on a port that is taken ends all that it had opened, and the server can start afterwards', async () => {
  const taken = createHttpServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const server = createServer({ ...config, host: '127.0.0.1', port })
  expect(await failToStart(server)).toMatchObject({ code: 'port_in_use' })
  expect(() => server.database).toThrow('The server does not run.')
  taken.close()
  await once(taken, 'close')
  await server.listen()
  expect(await openConnections()).not.toEqual([])
  await Promise.all([server.close(), server.close()])
  await vi.waitFor(async () => expect(await openConnections()).toEqual([]), patience)
})

test('a start whose hub finds no state to begin from ends all that it had opened', async () => {
  await db.database.pool.query('alter table sync.former_epochs rename to forgotten_epochs')
  const error = await failToStart(createServer(config)).finally(() =>
    db.database.pool.query('alter table sync.forgotten_epochs rename to former_epochs'),
  )
  expect(error).toMatchObject({ message: expect.stringContaining('sync.former_epochs') as string })
})

test('a stop while the server starts waits for the start, and ends what it opened', async () => {
  const server = createServer(config)
  const listening = server.listen()
  await server.close()
  await listening.catch(() => undefined)
  await vi.waitFor(async () => expect(await openConnections()).toEqual([]), patience)
})
