import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { codeBlocks, readPage } from '../support/markdown.ts'
import { startServerProcess, type ServerProcess } from '../support/server-process.ts'

const cache = fileURLToPath(new URL('../../.cache', import.meta.url))

let home: string
let program: string
let server: ServerProcess

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tidewire-readme-'))
  await mkdir(cache, { recursive: true })
  program = await mkdtemp(join(cache, 'readme-'))
  server = await startServerProcess(join(home, 'server'))
})

afterAll(async () => {
  await server?.stop()
  await Promise.all([home, program].map((folder) => rm(folder, { recursive: true, force: true })))
})

test('the first program of the README runs as it stands, but for the port', async () => {
  const [first] = codeBlocks(readPage('README.md'), 'ts')
  const text = first?.code.replace('http://127.0.0.1:4600', server.url) ?? ''
  expect(text).toContain(server.url)
  const file = join(program, 'hello.ts')
  await writeFile(file, text)
  const child = spawn(
    process.execPath,
    ['--conditions=tidewire:source', '--disable-warning=ExperimentalWarning', file],
    {
      cwd: home,
      env: { ...server.env, TIDEWIRE_TOKEN: await server.cli('token', '--user', 'ada@example.com') },
    },
  )
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const [code] = await once(child, 'close')
  expect(err).toBe('')
  expect(code).toBe(0)
  expect(out).toContain('Hello (local)')
  expect(out).toContain('Hello (synced)')
})
