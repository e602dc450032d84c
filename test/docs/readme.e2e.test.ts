// What the README tells people to type, typed in a copy of the checkout by the Node and npm of this machine.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { testCache } from '../support/database.ts'
import { endWithUs } from '../support/end-with-us.ts'
import { codeBlocks, readPage } from '../support/markdown.ts'
import { freePort } from '../support/server-process.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const readme = readPage('README.md')

/**
 * Of a shell in which nobody has told npm or Node anything: its `node` is that of the machine, which may be an older
 * one.
 */
const shell: Readonly<Record<string, string>> = {
  HOME: process.env['HOME'] ?? '',
  TIDEWIRE_CACHE: testCache,
  PATH: (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
    .join(delimiter),
}

let home: string
let checkout: string
let url: string
let server: ChildProcess | undefined
let welcome = ''

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tidewire-readme-'))
  checkout = join(home, 'checkout')
  await copyCheckout()
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  const started = spawn('npm', ['start'], {
    cwd: checkout,
    env: { ...shell, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  endWithUs(started, { group: true })
  server = started
  const ready = Promise.withResolvers<void>()
  const hear = (chunk: Buffer): void => {
    welcome += chunk.toString()
    if (welcome.includes('npx node examples/watch-tasks.ts')) ready.resolve()
  }
  started.stdout.on('data', hear)
  started.stderr.on('data', hear)
  started.once('exit', (code) => ready.reject(new Error(`npm start ended with code ${code}:\n${welcome}`)))
  await ready.promise
}, 300_000)

afterAll(async () => {
  if (server?.pid !== undefined && server.exitCode === null) {
    const gone = once(server, 'exit')
    // npm passes no signal on: it is told to the whole group, as by Ctrl-C in a terminal.
    process.kill(-server.pid, 'SIGINT')
    await gone
  }
  await rm(home, { recursive: true, force: true, maxRetries: 5 })
}, 60_000)

/** The files that git knows, with the dependencies that are installed here. */
async function copyCheckout(): Promise<void> {
  const files = execFileSync('git', ['ls-files', '-z', '--cached'], { cwd: root, encoding: 'utf8' }).split('\0')
  const wanted = files.filter((file) => file !== '' && !/^(test|bench|docs)\//.test(file))
  for (const folder of new Set(wanted.map((file) => dirname(join(checkout, file)))))
    await mkdir(folder, { recursive: true })
  await Promise.all(wanted.map((file) => cp(join(root, file), join(checkout, file)).catch(ignoreDeleted)))
  const modules = join(checkout, 'node_modules')
  await mkdir(join(modules, '@tidewire'), { recursive: true })
  await symlink('../../client-sdk', join(modules, '@tidewire/client'))
  for (const name of await readdir(join(root, 'node_modules')))
    if (name !== '@tidewire' && name !== '.cache') await symlink(join(root, 'node_modules', name), join(modules, name))
}

function ignoreDeleted(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}

/** Types lines into a shell in the checkout. */
async function type(...lines: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn('sh', ['-ec', lines.join('\n')], { cwd: checkout, env: { ...shell, TIDEWIRE_URL: url } })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const [code] = await once(child, 'close')
  return { code: Number(code), out, err: err.replaceAll(/^npm warn .*\n/gm, '') }
}

/** The line of a block of shell commands that begins like this, without its comment. */
function lineOf(beginning: string): string {
  const lines = codeBlocks(readme, 'sh').flatMap(({ code }) => code.split('\n'))
  const found = lines.find((line) => line.startsWith(beginning))
  if (found === undefined) throw new Error(`The README has no line that begins with ${beginning}`)
  return found.replace(/\s+#.*$/, '')
}

test('npm start serves, and the lines of the README that follow it work in another terminal', async () => {
  expect(welcome).toContain(`Tidewire is ready on ${url}`)
  expect(welcome).toContain('export TIDEWIRE_TOKEN=ey')
  const ended = await type(lineOf('export TIDEWIRE_TOKEN='), `${lineOf('npx node examples/watch-tasks.ts')} --once`)
  expect(ended).toMatchObject({ code: 0, err: '' })
  expect(ended.out).toMatch(/synced +pending +Say hello at/)
}, 300_000)

test('the first program of the README runs as it stands, but for the port', async () => {
  const [first] = codeBlocks(readme, 'ts')
  const text = first?.code.replace('http://127.0.0.1:4600', url) ?? ''
  expect(text).toContain(url)
  await writeFile(join(checkout, 'hello.ts'), text)
  const ended = await type(lineOf('export TIDEWIRE_TOKEN='), 'npx node hello.ts')
  expect(ended).toMatchObject({ code: 0, err: '' })
  expect(ended.out).toContain('Hello (local)')
  expect(ended.out).toContain('Hello (synced)')
}, 300_000)
