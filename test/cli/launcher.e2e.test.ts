// What Node has compiled is kept for the next start, and where that cannot be the command runs all the same.
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const cli = fileURLToPath(new URL('../../server/cli/tidewire.js', import.meta.url))
const condition = '--conditions=tidewire:source'
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidewire-launcher-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const version = async (cache: string, flags: readonly string[] = [condition]): Promise<unknown> => {
  const env = { PATH: process.env['PATH'], HOME: join(folder, 'home'), TIDEWIRE_CACHE: cache }
  return promisify(execFile)(process.execPath, [...flags, cli, '--version'], { env })
}
const answers = { stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string, stderr: '' }

/** Files of what was compiled, with the times at which they were written. */
async function compiled(cache: string): Promise<ReadonlyMap<string, number>> {
  const names = await readdir(join(cache, 'compiled'), { recursive: true })
  return new Map(
    await Promise.all(names.map(async (name) => [name, (await stat(join(cache, 'compiled', name))).mtimeMs] as const)),
  )
}

test.for([
  ['in its own process', [condition]],
  ['in a child, which it makes where the condition is missing', []],
] as const)('the command keeps what was compiled %s, and the next one takes it as it is', async ([, flags]) => {
  const cache = join(folder, `cache-${flags.length}`)
  expect(await version(cache, flags)).toEqual(answers)
  const first = await compiled(cache)
  expect(first.size).toBeGreaterThan(5)
  expect(await version(cache, flags)).toEqual(answers)
  expect(await compiled(cache)).toEqual(first)
})

test('the command runs where nothing can be kept', async () => {
  const file = join(folder, 'file')
  await writeFile(file, '')
  expect(await version(file)).toEqual(answers)
  expect(await version('/proc/nowhere')).toEqual(answers)
})

test('the command keeps nothing when it is told so', async () => {
  expect(await version('off')).toEqual(answers)
  expect(await readdir(folder)).not.toContain('home')
})
