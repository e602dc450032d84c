import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServerProcess, type ServerProcess } from '../support/server-process.ts'
import { twoDevices } from './two-devices.ts'

let home: string
let server: ServerProcess
let token: string

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tidewire-story-'))
  server = await startServerProcess(join(home, 'server'))
  token = await server.cli('token', '--user', 'ada@example.com')
}, 180_000)

afterAll(async () => {
  await server?.stop()
  await rm(home, { recursive: true, force: true })
})

describe.each(['memory', 'pglite'] as const)('two devices on one task, replica kind %s', (kind) => {
  const open = (name: string): Promise<Client> =>
    connect({
      url: server.url,
      token,
      replica: kind === 'memory' ? { kind } : { kind, dir: join(home, `${kind}-${name}`) },
      device: { name, kind: 'agent_runtime' },
    })

  test('meet after offline edits and a killed server: different columns merge, the same column is one conflict, settled everywhere', async () => {
    expect(await twoDevices(server, open)).toEqual({ equal: true })
  }, 240_000)
})
