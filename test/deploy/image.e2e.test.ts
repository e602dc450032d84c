// There is no Docker in the tests, so the steps of the Dockerfile are done in a folder, and what they make is run as it
// would be.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, existsSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { freePort } from '../../scripts/processes.ts'
import { buildImage, contextFiles, type Image } from './image-build.ts'

const context = fileURLToPath(new URL('../..', import.meta.url))
let folder: string
let image: Image

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidewire-image-'))
  // Whoever the image runs as must get through to it.
  chmodSync(folder, 0o755)
  copyFileSync(process.execPath, join(folder, 'node'))
  image = buildImage(context, folder)
}, 300_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A command of the image, as its user where this process may become that user. */
function runInImage(command: readonly string[], env: Readonly<Record<string, string>>) {
  const [program = '', ...args] = command
  const [uid, gid] = image.user.split(':').map(Number)
  return spawn(program === 'node' ? join(folder, 'node') : program, args, {
    cwd: join(image.root, image.workdir),
    env: { ...image.env, TIDEWIRE_DATA: join(image.root, image.env['TIDEWIRE_DATA'] ?? ''), HOME: '/tmp', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(process.getuid?.() === 0 && uid !== undefined && gid !== undefined ? { uid, gid } : {}),
  })
}

async function exitCodeOf(child: ReturnType<typeof runInImage>): Promise<number | null> {
  if (child.exitCode === null) await once(child, 'exit')
  return child.exitCode
}

test('holds the server and what it needs, and nothing of development', () => {
  const files = contextFiles(context)
  expect(files).toContain('server/cli/tidewire.js')
  expect(
    files.filter((path) => /^(test|bench|docs|examples|scripts)\/|\.env|\.git|^client-sdk\/(?!package)/.test(path)),
  ).toEqual([])
  const modules = readdirSync(join(image.root, 'app/node_modules'))
  expect(modules).toContain('pg')
  expect(
    modules.filter((name) => ['vitest', 'typescript', 'oxlint', 'vite', 'playwright-core'].includes(name)),
  ).toEqual([])
  expect(existsSync(join(image.root, 'app/node_modules/node/bin'))).toBe(false)
})

test('is not root, says where it listens and what it keeps, and hears SIGTERM itself', () => {
  expect(image.user).toMatch(/^[1-9]\d*:[1-9]\d*$/)
  expect(image.ports).toEqual(['4600'])
  expect(image.volumes).toEqual(['/data'])
  expect(image.packages).toEqual(['postgresql-client-17'])
  expect(image.stopSignal).toBe('SIGTERM')
  expect(image.entrypoint[0]).toBe('node')
  expect(image.labels).toContain('org.opencontainers.image.licenses')
})

/** Files of the image but for what its volumes hold, with their sizes and times. */
function filesBesideVolumes(): ReadonlyMap<string, string> {
  const paths = readdirSync(image.root, { recursive: true, encoding: 'utf8' })
  const own = paths.filter((path) => !['/data', '/backups'].some((volume) => `/${path}`.startsWith(volume)))
  return new Map(
    own.map((path) => {
      const { size, mtimeMs } = lstatSync(join(image.root, path))
      return [path, `${size} ${mtimeMs}`] as const
    }),
  )
}

test('has less than 200 MB of its own: the server, its packages and the embedded database', () => {
  const bytes = [...filesBesideVolumes().values()].reduce((sum, text) => sum + Number(text.split(' ')[0]), 0)
  expect(bytes / 1e6).toBeGreaterThan(20)
  expect(bytes / 1e6).toBeLessThan(200)
})

test('starts, becomes healthy by its own check, and ends with 0 when it is told to', async () => {
  const port = String(await freePort())
  const before = filesBesideVolumes()
  const server = runInImage([...image.entrypoint, ...image.cmd], { PORT: port, HOST: '127.0.0.1' })
  let said = ''
  for (const stream of [server.stdout, server.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const ended = once(server, 'exit').then(([code]) => expect.unreachable(`It ended with ${String(code)}:\n${said}`))
  const healthy = vi.waitFor(
    async () => expect(await exitCodeOf(runInImage(image.healthcheck, { PORT: port }))).toBe(0),
    { timeout: 240_000, interval: 1000 },
  )
  ended.catch(() => undefined)
  await Promise.race([healthy, ended])
  // It serves while the demo data is being made.
  await vi.waitFor(() => expect(said).toContain('Tidewire is ready'), { timeout: 240_000 })
  server.kill(image.stopSignal as NodeJS.Signals)
  expect(await exitCodeOf(server)).toBe(0)
  // Its root may be read-only.
  expect(filesBesideVolumes()).toEqual(before)
  // Nobody answers: the check says so.
  expect(await exitCodeOf(runInImage(image.healthcheck, { PORT: port }))).toBe(1)
}, 300_000)

test('runs any command of the CLI', async () => {
  const child = runInImage([...image.entrypoint, '--version'], {})
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  expect(await exitCodeOf(child)).toBe(0)
  expect(said).toMatch(/^\d+\.\d+\.\d+/)
})
