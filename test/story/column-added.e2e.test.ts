// Clients are updated before their server. The server's migration then fills a column without writing the rows.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect, type ClientOf } from '@tidewire/client'
import { expect, onTestFinished, test } from 'vitest'
import { countLoads } from '../failure/count-loads.ts'
import { startServerProcess } from '../support/server-process.ts'
import { schema as notesSchema } from '../../examples/notes/schema.generated.ts'
import { schema } from './application/notes-with-place.ts'

const applicationAt = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

test('a column that clients know before their server is filled on them once the server has it, and what they wrote meanwhile stays', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidewire-column-'))
  const server = await startServerProcess(join(folder, 'server'), {
    TIDEWIRE_APP: applicationAt('../../examples/notes/application.ts'),
  })
  const clients: ClientOf<typeof schema>[] = []
  onTestFinished(async () => {
    await Promise.all(clients.map((tide) => tide.close()))
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }, 60_000)
  const token = await server.cli('token', '--user', 'ada@example.com')
  for (const replica of [{ kind: 'memory' }, { kind: 'pglite', dir: join(folder, 'replica') }] as const) {
    const tide = await connect({ url: server.url, token, schema, replica, device: { name: replica.kind, kind: 'cli' } })
    clients.push(tide)
    await (
      await tide.subscribe({ organization: true }, { tables: ['projects'] })
    ).ready
    const [project] = await tide.projects.find({})
    await (
      await tide.subscribe({ project: project?.id ?? '' })
    ).ready
  }
  const [writer] = clients
  const [project] = (await writer?.projects.find({})) ?? []
  if (writer === undefined || project === undefined) throw new Error('There is no project.')
  const elder = await connect({
    url: server.url,
    token,
    schema: notesSchema,
    replica: { kind: 'memory' },
    device: { name: 'elder', kind: 'cli' },
  })
  const untouched = await elder.notes.insert({ projectId: project.id, title: 'Untouched' })
  const { id } = await elder.notes.insert({ projectId: project.id, title: 'Old' })
  await elder.synced()
  await elder.close()
  for (const tide of clients) {
    for await (const notes of tide.notes.live({ where: { id } })) if (notes.length === 1) break
    expect(await tide.notes.find({ where: { place: 'desk' } })).toEqual([])
  }

  for (const tide of clients) tide.disconnect()
  await writer.notes.update(id, { title: 'Renamed offline' })
  const loads = countLoads(clients)
  server.setEnv({ TIDEWIRE_APP: applicationAt('./application/notes-with-place.ts') })
  await server.stop()
  await server.restart()
  for (const tide of clients) tide.connect()
  for (const tide of clients) {
    for await (const [note] of tide.notes.live({ where: { id: untouched.id, place: 'desk' } })) if (note) break
    // Comes from the one to the other after that.
    for await (const [note] of tide.notes.live({ where: { id, title: 'Renamed offline' } })) if (note) break
    await tide.synced()
    expect(await tide.notes.get(id)).toMatchObject({ title: 'Renamed offline', place: 'desk' })
    expect(await tide.verify()).toEqual({ equal: true })
  }
  expect(loads()).toBeGreaterThan(0)

  // Once is enough.
  const after = countLoads(clients)
  await server.stop()
  await server.restart()
  await (await writer.notes.update(id, { place: 'shelf' })).wait('synced')
  for (const tide of clients)
    for await (const notes of tide.notes.live({ where: { place: 'shelf' } })) if (notes.length > 0) break
  expect(after()).toBe(0)
}, 240_000)
