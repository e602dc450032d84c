import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore } from '../../client-sdk/store/open-store.ts'
import { contractSchema } from '../../client-sdk/testing/contract-schema.ts'
import { idOf } from '../../client-sdk/testing/contract-rows.ts'

const writer = fileURLToPath(new URL('endless-writer.ts', import.meta.url))
let dir: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tidewire-kill-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** Lets a process commit 1, 2, 3 … until it has told of `count` commits, and kills it in the midst of the next ones. */
async function writeAndKill(first: number, count: number): Promise<number> {
  const child = fork(writer, [dir, String(first)], { execArgv: ['--conditions=tidewire:source'] })
  let last = 0
  const enough = new Promise<void>((resolve) => {
    child.on('message', (number: number) => {
      last = number
      if (number >= first + count) resolve()
    })
  })
  const exit = once(child, 'exit')
  await Promise.race([
    enough,
    exit.then(([code]) => Promise.reject(new Error(`the writer ended by itself: ${String(code)}`))),
  ])
  child.kill('SIGKILL')
  await exit
  return last
}

test('has every commit that was confirmed, whole, after the process was killed', async () => {
  let first = 1
  for (const count of [5, 37, 80]) {
    const confirmed = await writeAndKill(first, count)
    const store = await openStore({ kind: 'pglite', dir }, contractSchema)
    const { meta, outbox } = await store.load()
    const rows = await store.query('issues', {})
    // A commit may have become durable in the moment before its confirmation was sent.
    expect(meta.clientSeq).toBeGreaterThanOrEqual(confirmed)
    expect(outbox.map((entry) => entry.position)).toEqual(
      Array.from({ length: meta.clientSeq }, (_, index) => index + 1),
    )
    expect(rows.map((row) => row['id'])).toEqual(outbox.map((entry) => idOf(entry.position)))
    await store.close()
    first = meta.clientSeq + 1
  }
}, 240_000)

test('refuses a second process, and lets it in after the first was closed', async () => {
  const store = await openStore({ kind: 'pglite', dir }, contractSchema)
  await expect(openStore({ kind: 'pglite', dir }, contractSchema)).rejects.toMatchObject({ code: 'replica_locked' })
  await store.close()
  await expect(store.load()).rejects.toMatchObject({ code: 'closed' })
  const again = await openStore({ kind: 'pglite', dir }, contractSchema)
  expect((await again.load()).outbox).not.toEqual([])
  await again.close()
})
