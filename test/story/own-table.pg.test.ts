// The command with the module of an application, on Postgres.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { startServerProcess } from '../support/server-process.ts'
import { ownTable } from './own-table.ts'

const application = fileURLToPath(new URL('../../examples/notes/application.ts', import.meta.url))

test('tidewire serves the table of TIDEWIRE_APP from the write-ahead log of Postgres, and its commands know it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidewire-own-'))
  const db = await createTestDatabase({ kind: 'postgres' })
  const server = await startServerProcess(join(folder, 'server'), {
    DATABASE_URL: db.url ?? '',
    AUTH_SECRET: randomBytes(32).toString('hex'),
    CAPTURE: 'wal',
    TIDEWIRE_APP: application,
  })
  onTestFinished(async () => {
    await server.stop()
    await db.close()
    await rm(folder, { recursive: true, force: true })
  }, 60_000)
  const { pool } = db.database
  await server.cli('seed')
  const token = await server.cli('token', '--user', 'ada@example.com')
  await ownTable({ url: server.url, token, folder: join(folder, 'replica') }, (text) => pool.query(text))
  expect(JSON.parse(await server.cli('doctor', '--json'))).toMatchObject({ ok: true })
  const verified = JSON.parse(await server.cli('verify', '--json')) as { tables: readonly { table: string }[] }
  expect(verified.tables.map(({ table }) => table)).toContain('notes')
}, 300_000)
