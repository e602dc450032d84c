// The server's database goes back to a backup: what its clients had written since, and had seen confirmed, comes back.
import { cp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { connect, type Client } from '@tidewire/client'
import { expect, test } from 'vitest'
import { systemRandom } from '../../lib/random.ts'
import { systemClock } from '../../lib/clock.ts'
import { createAuth, openSigningKey } from '../../server/auth/auth.ts'
import { loadConfig } from '../../server/config.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { createServer, type TideServer } from '../../server/server.ts'
import { untilStatus } from '../failure/stage.ts'
import { copyOfTemplate } from '../support/database.ts'
import { newId, seedFixture } from '../support/fixtures.ts'

async function start(dataDir: string, port: string): Promise<TideServer> {
  const server = createServer(loadConfig({ TIDEWIRE_DATA: dataDir, PORT: port }))
  await server.listen()
  return server
}

test.each(['memory', 'pglite'] as const)(
  'nothing that was confirmed is lost or doubled when the database is restored, replica kind %s',
  async (kind) => {
    const dataDir = await copyOfTemplate()
    const backup = join(dirname(dataDir), 'backup')
    let server = await start(dataDir, '0')
    const { port } = new URL(server.url)
    const { organizationId, projectId, memberId, agentId } = await seedFixture(server.database.pool)
    const key = await openSigningKey(loadConfig({ TIDEWIRE_DATA: dataDir, PORT: '0' }).auth, systemRandom)
    const auth = createAuth({ pool: server.database.pool, key, clock: systemClock, random: systemRandom })
    const token = await auth.issueToken({ kind: 'user', id: memberId, organizationId }, 3600)
    const replica = kind === 'memory' ? { kind } : { kind, dir: join(dirname(dataDir), 'replica') }
    const open = (): Promise<Client> =>
      connect({ url: server.url, token, replica, device: { name: 'desk', kind: 'cli' } })
    let tide = await open()
    const project = await tide.subscribe({ project: projectId })
    await project.ready
    const old = await tide.tasks.insert({ projectId, title: 'Before the backup' })
    const memory = await tide.memories.insert({ projectId, scope: 'project', agentId, content: 'Counts' })
    await tide.synced()

    await server.close()
    await cp(dataDir, backup, { recursive: true })
    server = await start(dataDir, port)
    tide.connect()
    await tide.tasks.update(old.id, { title: 'After the backup' })
    const fresh = await tide.tasks.insert({ projectId, title: 'Made after the backup' })
    await tide.memories.increment(memory.id, { reinforcementCount: 2 })
    const gone = await tide.tasks.insert({ projectId, title: 'Made and deleted after the backup' })
    await tide.synced()
    await tide.tasks.delete(gone.id)
    await tide.transaction(async (tx) => {
      await tx.tasks.update(fresh.id, { priority: 'high' })
      await tx.memories.increment(memory.id, { reinforcementCount: 1 })
    })
    await tide.synced()

    await server.close()
    // A durable replica does not need its process to remember.
    if (kind === 'pglite') await tide.close()
    await rm(dataDir, { recursive: true, force: true })
    await cp(backup, dataDir, { recursive: true })
    server = await start(dataDir, port)
    // The new history grows past the old one before this device is back: positions alone would tell nothing.
    for (let number = 0; number < 60; number++)
      await insertRow(server.database.pool, 'tasks', {
        id: newId(),
        organization_id: organizationId,
        project_id: projectId,
        title: `By SQL ${number}`,
      })
    if (kind === 'pglite') tide = await open()
    else tide.connect()
    for await (const rows of tide.tasks.live({ where: { title: { like: 'By SQL %' } } })) if (rows.length === 60) break
    await tide.synced()

    const { rows } = await server.database.pool.query(
      `select title, priority, deleted_at is null as live from tasks where id = any($1) order by title`,
      [[old.id, fresh.id, gone.id]],
    )
    expect(rows).toEqual([
      { title: 'After the backup', priority: 'medium', live: true },
      { title: 'Made after the backup', priority: 'high', live: true },
      { title: 'Made and deleted after the backup', priority: 'medium', live: false },
    ])
    const counted = await server.database.pool.query('select reinforcement_count as n from memories where id = $1', [
      memory.id,
    ])
    expect(Number(counted.rows[0].n)).toBe(3)
    expect(await tide.verify()).toEqual({ equal: true })
    expect(await tide.writes.find()).toEqual([])
    expect(await tide.conflicts.find({ where: { status: 'open' } })).toEqual([])

    // It is over: a reconnection sends nothing again.
    tide.disconnect()
    tide.connect()
    await untilStatus(tide, ({ connection }) => connection === 'live')
    expect(tide.status.pending).toBe(0)
    await tide.close()
    await server.close()
    await rm(dirname(dataDir), { recursive: true, force: true })
  },
  300_000,
)
