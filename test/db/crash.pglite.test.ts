import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { openDatabase } from '../../server/db/db.ts'
import { copyOfTemplate } from '../support/database.ts'

const writer = fileURLToPath(new URL('../support/crash-writer.ts', import.meta.url))
const rounds = 4

/** Lets a process write until it has acknowledged `count` rows, and kills it in the middle of the next ones. */
async function writeAndKill(dataDir: string, count: number): Promise<readonly number[]> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', writer, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const acknowledged: number[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(Number(line))
    if (acknowledged.length === count) child.kill('SIGKILL')
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  expect(child.signalCode).toBe('SIGKILL')
  return acknowledged
}

test('every acknowledged row is there after kill -9 in the middle of writing, and no half transaction is', async () => {
  const dataDir = await copyOfTemplate(false)
  const acknowledged = new Set<number>()
  for (let round = 1; round <= rounds; round++) {
    for (const id of await writeAndKill(dataDir, 100 * round + round)) acknowledged.add(id)
    const database = await openDatabase({ database: { kind: 'embedded', dataDir, poolSize: 2 } })
    const { rows } = await database.pool.query<{ id: number; length: number; text: string }>(
      'select id, length(text) as length, left(text, 4) as text from kept',
    )
    await database.close()
    const found = new Set(rows.map(({ id }) => id))
    expect([...acknowledged].filter((id) => !found.has(id))).toEqual([])
    expect(rows.filter(({ id, length, text }) => text === 'half' || length !== id % 2000)).toEqual([])
  }
  await rm(dirname(dataDir), { recursive: true, force: true })
}, 180_000)
