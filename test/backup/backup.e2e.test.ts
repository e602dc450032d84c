// The commands, as an operator types them, beside a running server and without one.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { openDatabase } from '../../server/db/db.ts'
import { copyOfTemplate } from '../support/database.ts'
import { startServerProcess } from '../support/server-process.ts'

const cli = fileURLToPath(new URL('../../server/cli/tidewire.js', import.meta.url))
const keys = { ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}` }

interface Ended {
  readonly code: number
  readonly answer: Readonly<Record<string, unknown>>
  readonly err: string
}

async function run(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  const child = spawn(process.execPath, [cli, ...args, '--json'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  return { code, answer: out === '' ? {} : (JSON.parse(out) as Ended['answer']), err }
}

test('a backup is made while the server runs, tried, and put in its place', async () => {
  const dataDir = await copyOfTemplate()
  const read = async (sql: string): Promise<unknown[]> => {
    const database = await openDatabase({ database: { kind: 'embedded', dataDir, poolSize: 1 } }, { mode: 'either' })
    try {
      return (await database.pool.query(sql)).rows
    } finally {
      await database.close()
    }
  }
  const server = await startServerProcess(dataDir)
  const env = { ...server.env, ...keys }
  try {
    expect(await run(['backup'], server.env)).toMatchObject({
      code: 1,
      err: expect.stringContaining('encryption_unavailable') as string,
    })
    const made = await run(['backup'], env)
    expect(made).toMatchObject({ code: 0, answer: { status: 'completed', keyId: 'k1', rowCounts: { tasks: 12 } } })
    const file = String(made.answer['location'])
    expect(await run(['backup', '--restore-test'], env)).toMatchObject({
      code: 0,
      answer: { status: 'completed', location: file, differences: [] },
    })
    expect(await run(['restore', file, '--replace'], env)).toMatchObject({
      code: 1,
      err: expect.stringContaining('Stop every server') as string,
    })
    const [before] = await read('select epoch from sync_heads')
    await read(`update tasks set title = 'Lost'`)
    await server.stop()
    const restored = await run(['restore', file, '--replace'], env)
    expect(restored).toMatchObject({ code: 0, answer: { kept: expect.stringContaining('pgdata.before-') as string } })
    expect(await read(`select count(*)::int as lost from tasks where title = 'Lost'`)).toEqual([{ lost: 0 }])
    expect(await read('select epoch from sync_heads')).not.toEqual([before])
  } finally {
    await server.stop()
    await rm(dirname(dataDir), { recursive: true, force: true })
  }
}, 300_000)
