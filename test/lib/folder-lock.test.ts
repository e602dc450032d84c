import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lockFolder } from '../../lib/folder-lock.ts'
import { TideError } from '../../protocol/error.ts'

const locker = fileURLToPath(new URL('folder-locker.ts', import.meta.url))
let folder: string
let children: ChildProcess[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidewire-lock-'))
  children = []
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

/** A process that tries to lock the folder, and what came of it. It lives on. */
async function inAnotherProcess(): Promise<{ readonly child: ChildProcess; readonly result: unknown }> {
  const child = fork(locker, [folder], { execArgv: [] })
  children.push(child)
  const [result] = await once(child, 'message')
  return { child, result }
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

test('refuses a folder that this process has open, naming both', async () => {
  const lock = await lockFolder(folder)
  const error = await lockFolder(folder).catch((cause: unknown) => cause)
  expect(error).toBeInstanceOf(TideError)
  expect(error).toMatchObject({ code: 'replica_locked', message: expect.stringContaining(folder) })
  expect(String(error)).toContain(String(process.pid))
  await lock.release()
})

test('refuses a folder that another process has open, naming its pid', async () => {
  const { child, result } = await inAnotherProcess()
  expect(result).toBe('locked')
  await expect(lockFolder(folder)).rejects.toThrow(`process ${child.pid}`)
})

test('lets others in after it is released, as often as they like', async () => {
  for (let round = 0; round < 3; round++) {
    const lock = await lockFolder(folder)
    await lock.release()
    await lock.release()
  }
  expect((await inAnotherProcess()).result).toBe('locked')
  await expect(lockFolder(folder)).rejects.toThrow(/is open in/)
})

test('does not release what another process has taken over since', async () => {
  const lock = await lockFolder(folder)
  await lock.release()
  await inAnotherProcess()
  await lock.release()
  await expect(lockFolder(folder)).rejects.toThrow(/is open in/)
})

test('takes over from a process that was killed', async () => {
  const { child } = await inAnotherProcess()
  await kill(child)
  await expect(lockFolder(folder)).resolves.toBeDefined()
})

test('takes over from a process whose pid another one has by now', async () => {
  await writeFile(
    join(folder, 'lock.4'),
    JSON.stringify({ pid: process.pid, started: 'another boot/1', released: false }),
  )
  const lock = await lockFolder(folder)
  expect(await readdir(folder)).toEqual(['lock.5'])
  await lock.release()
})

test('takes over a lock file that was cut off', async () => {
  await writeFile(join(folder, 'lock.1'), '{"pid":')
  await expect(lockFolder(folder)).resolves.toBeDefined()
})

test('lets exactly one of many in, in one process', async () => {
  await writeFile(
    join(folder, 'lock.7'),
    JSON.stringify({ pid: process.pid, started: 'another boot/1', released: false }),
  )
  const tries = await Promise.allSettled(Array.from({ length: 40 }, () => lockFolder(folder)))
  expect(tries.filter((one) => one.status === 'fulfilled')).toHaveLength(1)
})

test('lets exactly one of several processes in that all find a dead owner', async () => {
  const { child } = await inAnotherProcess()
  await kill(child)
  const results = await Promise.all(Array.from({ length: 6 }, inAnotherProcess))
  const count = (wanted: string): number => results.filter(({ result }) => result === wanted).length
  expect([count('locked'), count('replica_locked')]).toEqual([1, 5])
})
