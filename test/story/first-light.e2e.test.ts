import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServerProcess, type ServerProcess } from '../support/server-process.ts'

let home: string
let server: ServerProcess
let token: string

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tidewire-story-'))
  server = await startServerProcess(join(home, 'server'))
  token = await server.cli('token', '--user', 'ada@example.com')
}, 120_000)

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
    const [ada, scout] = await Promise.all([open('ada'), open('scout')])
    const projectId = await demoProject(ada)
    await Promise.all([ada, scout].map(async (tide) => (await tide.subscribe({ project: projectId })).ready))

    const task = await ada.tasks.insert({ projectId, title: 'Index the docs', description: 'All of them.' })
    await task.$write.wait('synced')
    await seen(scout, task.id, (row) => row?.title === 'Index the docs')

    // Different columns: both stay, nobody is asked.
    ada.disconnect()
    scout.disconnect()
    await ada.tasks.update(task.id, { priority: 'high' })
    await scout.tasks.update(task.id, { status: 'in_progress' })
    expect((await ada.tasks.get(task.id))?.$sync.status).toBe('local')
    await server.crash()
    await server.restart()
    ada.connect()
    scout.connect()
    await Promise.all([ada.synced(), scout.synced()])
    for (const tide of [ada, scout]) {
      await seen(tide, task.id, (row) => row?.priority === 'high' && row.status === 'in_progress' && row.$sync.status === 'synced')
      expect(await tide.conflicts.find({ where: { status: 'open' } })).toEqual([])
    }

    // The same column: exactly one conflict, on the later device.
    scout.disconnect()
    await scout.tasks.update(task.id, { title: 'Index the docs, offline' })
    const first = await ada.tasks.update(task.id, { title: 'Index the docs, online' })
    await first.wait('synced')
    await server.crash()
    scout.connect()
    await server.restart()
    const [conflict] = await firstNonEmpty(scout.conflicts.live())
    expect(conflict).toMatchObject({ table: 'tasks', rowId: task.id, mine: { title: 'Index the docs, offline' }, theirs: { title: 'Index the docs, online' } })
    await seen(scout, task.id, (row) => row?.$sync.status === 'conflict')
    expect(await scout.conflicts.find({ where: { status: 'open' } })).toHaveLength(1)
    expect((await ada.tasks.get(task.id))?.title).toBe('Index the docs, online')

    await scout.conflicts.resolve(conflict?.id ?? '', { title: 'Index the docs, together' })
    for (const tide of [ada, scout]) {
      await seen(tide, task.id, (row) => row?.title === 'Index the docs, together' && row.$sync.status === 'synced')
      await tide.synced()
      expect(await tide.conflicts.find({ where: { status: 'open' } })).toEqual([])
      expect(await tide.writes.find()).toEqual([])
      expect(await tide.tasks.find({ where: { title: { like: 'Index the docs%' }, id: task.id } })).toHaveLength(1)
      expect(await tide.verify()).toEqual({ equal: true })
    }
    await Promise.all([ada.close(), scout.close()])
  }, 120_000)
})

async function demoProject(tide: Client): Promise<string> {
  const organization = await tide.subscribe({ organization: true }, { tables: ['projects'] })
  await organization.ready
  const [project] = await tide.projects.find({ where: { slug: 'demo' } })
  if (project === undefined) throw new Error('The demo project is missing.')
  return project.id
}

type Task = Awaited<ReturnType<Client['tasks']['get']>>

/** Waits until this replica shows the task as wanted. */
async function seen(tide: Client, id: string, isWanted: (row: Task) => boolean): Promise<void> {
  for await (const [row] of tide.tasks.live({ where: { id } })) if (isWanted(row)) return
}

async function firstNonEmpty<R>(rows: AsyncIterable<readonly R[]>): Promise<readonly R[]> {
  for await (const found of rows) if (found.length > 0) return found
  return []
}
