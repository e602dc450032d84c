import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServerProcess, type ServerProcess } from '../support/server-process.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

let home: string
let server: ServerProcess

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tidewire-examples-'))
  server = await startServerProcess(join(home, 'server'), { TIDEWIRE_APP: join(root, 'examples/notes/application.ts') })
})

afterAll(async () => {
  await server?.stop()
  await rm(home, { recursive: true, force: true })
})

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

interface Running {
  readonly ended: Promise<Ended>
  /** Resolves when the text has been written to standard error. */
  said(text: string): Promise<void>
}

function run(name: string, token: string, ...args: readonly string[]): Running {
  const child = spawn(
    process.execPath,
    ['--conditions=tidewire:source', '--disable-warning=ExperimentalWarning', `examples/${name}.ts`, ...args],
    { cwd: root, env: { ...server.env, TIDEWIRE_URL: server.url, TIDEWIRE_TOKEN: token } },
  )
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  return {
    ended: once(child, 'close').then(([code]) => ({ code: Number(code), out, err })),
    async said(text) {
      while (!err.includes(text)) await once(child.stderr, 'data')
    },
  }
}

const tokenOf = (...whose: readonly string[]): Promise<string> => server.cli('token', ...whose)

describe('each example does what it says', () => {
  test('watch-tasks sees its own task become synced', async () => {
    const { code, out, err } = await run('watch-tasks', await tokenOf('--user', 'ada@example.com'), '--once').ended
    expect(err).toBe('')
    expect(code).toBe(0)
    expect(out).toMatch(/10 newest tasks: 10 added, 0 changed, 0 gone/)
    expect(out).toMatch(/local +pending +Say hello at/)
    expect(out).toMatch(/synced +pending +Say hello at/)
  })

  test('task-agent finishes two tasks offline', async () => {
    const { code, out, err } = await run('task-agent', await tokenOf('--agent', 'scout')).ended
    expect(err).toBe('')
    expect(code).toBe(0)
    expect(out).toContain('Fix the flaky login test: finished offline, waiting to be sent: 1')
    expect(out).toContain('Fix the flaky login test: completed, synced')
    expect(out).toContain('2 tasks done')
  })

  test('device keeps an offline edit over a restart and settles the conflict', async () => {
    const { code, out, err } = await run('device', await tokenOf('--user', 'ben@example.com'), join(home, 'phone'))
      .ended
    expect(err).toBe('')
    expect(code).toBe(0)
    expect(out).toContain('kept while off: tasks {"title":"Buy a long ladder"}')
    expect(out).toContain('conflict: mine {"title":"Buy a long ladder"}, theirs {"title":"Buy a short ladder"}')
    expect(out).toContain('Settled everywhere: "Buy a ladder of middle length", priority high, synced')
  })

  test('take-notes writes a row of a table that the application brings', async () => {
    const token = await tokenOf('--user', 'ada@example.com')
    const { code, out, err } = await run('notes/take-notes', token, '--once').ended
    expect(err).toBe('')
    expect(code).toBe(0)
    expect(out).toMatch(/synced +calm +A table of our own/)
  })

  test('vector-search finds the same here as on the server', async () => {
    const { code, out, err } = await run('vector-search', await tokenOf('--user', 'ada@example.com')).ended
    expect(err).toBe('')
    expect(code).toBe(0)
    const [, remote, local] = out.split(/^\S.*:\n/m)
    expect(remote).toContain('A staging deploy hangs when the VPN is down')
    expect(local).toBe(remote)
  })
})

describe('when the server is not as hoped', () => {
  test('a refused token ends an example with the reason', async () => {
    const { code, err } = await run('watch-tasks', 'not-a-token', '--once').ended
    expect(code).toBe(1)
    expect(err).toContain('token_invalid')
  })

  test('an example without a token says how to get one', async () => {
    const { code, err } = await run('watch-tasks', '').ended
    expect(code).toBe(2)
    expect(err).toContain('npx tidewire token --user ada@example.com')
  })

  test('an example waits for a server that comes later', async () => {
    const token = await tokenOf('--user', 'ada@example.com')
    await server.crash()
    const watching = run('watch-tasks', token, '--once')
    await watching.said('connecting:')
    await server.restart()
    expect((await watching.ended).code).toBe(0)
  })
})

test('each example says how it is started, and is tested here', async () => {
  const tests = await readFile(fileURLToPath(import.meta.url), 'utf8')
  const parts = [
    'settings.ts',
    ...['add-notes', 'application', 'notes-table', 'schema.generated'].map((name) => `notes/${name}.ts`),
  ]
  const names = (await readdir(join(root, 'examples'), { recursive: true }))
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.ts') && !parts.includes(name))
  for (const file of names) {
    const name = file.replace(/\.ts$/, '')
    const text = await readFile(join(root, 'examples', file), 'utf8')
    expect(text).toMatch(
      new RegExp(`TIDEWIRE_TOKEN=\\$\\(npx tidewire token --(user|agent) \\S+\\) npx node examples/${name}\\.ts`),
    )
    expect(tests).toContain(`run('${name}'`)
  }
})
