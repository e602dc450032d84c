import type { Client, Verification } from '@tidewire/client'
import { expect } from 'vitest'
import type { ServerProcess } from '../support/server-process.ts'

/**
 * The story of the project, told with the public SDK alone: two clients edit one row offline, the server is killed and
 * started again in between. Different columns merge silently; the same column is exactly one open conflict, which is
 * settled everywhere. Nothing is lost, nothing doubled. Answers the last comparison of a replica with the server.
 */
export async function twoDevices(
  server: ServerProcess,
  open: (name: string) => Promise<Client>,
): Promise<Verification> {
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
    await seen(
      tide,
      task.id,
      (row) => row?.priority === 'high' && row.status === 'in_progress' && row.$sync.status === 'synced',
    )
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
  expect(conflict).toMatchObject({
    table: 'tasks',
    rowId: task.id,
    mine: { title: 'Index the docs, offline' },
    theirs: { title: 'Index the docs, online' },
  })
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
  const verification = await scout.verify()
  await Promise.all([ada.close(), scout.close()])
  return verification
}

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
