import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { administer, dropDatabase } from '../support/postgres-admin.ts'
import { postgresUrl } from '../support/services.ts'
import { startServerProcess, type ServerProcess } from '../support/server-process.ts'
import { twoDevices } from './two-devices.ts'

describe.each(['trigger', 'wal'])('two devices on one task, where changes are captured by %s', (capture) => {
  const name = `story_${randomBytes(6).toString('hex')}`
  let home: string
  let server: ServerProcess
  let token: string

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'tidewire-story-'))
    await administer(postgresUrl(), `create database ${name}`)
    const url = new URL(postgresUrl())
    url.pathname = `/${name}`
    server = await startServerProcess(join(home, 'server'), {
      DATABASE_URL: url.href,
      AUTH_SECRET: randomBytes(32).toString('hex'),
      CAPTURE: capture,
    })
    await server.cli('seed', '--demo')
    token = await server.cli('token', '--user', 'ada@example.com')
  }, 180_000)

  afterAll(async () => {
    await server?.stop()
    await dropDatabase(postgresUrl(), name)
    await rm(home, { recursive: true, force: true })
  })

  test('the same story is true on Postgres', async () => {
    const open = (device: string): Promise<Client> =>
      connect({ url: server.url, token, replica: { kind: 'memory' }, device: { name: device, kind: 'agent_runtime' } })
    expect(await twoDevices(server, open)).toEqual({ equal: true })
  }, 240_000)
})
