// Somebody writes rows and leaves the transaction open.
import type { Client } from '@tidewire/client'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import type { Readiness } from './health-record.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { openStage, type Stage } from './stage.ts'
import { addTask, expectOnce, keepWriting } from './writers.ts'

describe.skipIf(!hasOwnCluster)('a transaction that is left open', () => {
  let cluster: Cluster
  let stage: Stage
  let clients: readonly [Client, Client]

  beforeAll(async () => {
    // Half of it is the limit of what the slot may keep.
    cluster = await openCluster({ max_slot_wal_keep_size: '64MB' })
    stage = await openStage({ cluster: cluster.url })
    clients = [await stage.open('ada'), await stage.open('ben', 'pglite')]
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  /** A connection that has written two tasks, and ended one of its savepoints. */
  async function leaveOpen(title: string): Promise<pg.Client> {
    const idle = new pg.Client({ connectionString: stage.url })
    await idle.connect()
    const add = (text: string) =>
      idle.query(
        'insert into tasks (organization_id, project_id, title) select organization_id, id, $2 from projects where id = $1',
        [stage.projectId, text],
      )
    await idle.query('begin')
    await add(title)
    await idle.query('savepoint a')
    await add(`${title}, taken back`)
    await idle.query('rollback to a')
    await add(`${title}, too`)
    return idle
  }

  const titled = async (tide: Client, title: string) =>
    (await tide.tasks.find({ where: { title: { ilike: `${title}%` } } })).length

  async function arrives(title: string): Promise<void> {
    const id = await addTask(stage, title)
    for (const tide of clients)
      await expect.poll(() => tide.tasks.get(id), { timeout: 60_000, interval: 20 }).toBeTruthy()
  }

  /** More WAL than the slot may keep without a word. */
  async function writeMuch(): Promise<void> {
    for (let part = 0; part < 5; part++)
      await stage.sql(`select pg_logical_emit_message(false, 'noise', repeat('x', 8000000))`)
  }

  /** Postgres lets the WAL go when it next writes down which transactions are open. */
  async function letGo(): Promise<void> {
    const look = async () => {
      await stage.sql('checkpoint')
      return slot(await stage.ready())
    }
    await expect.poll(look, { timeout: 60_000, interval: 500 }).toMatchObject({ ok: true })
  }

  const slot = ({ body }: Readiness) => body.checks?.find(({ name }) => name === 'slot')

  test('others are delivered meanwhile, health says who holds the WAL, and its commit arrives whole', async () => {
    const { pid } = stage.server
    const health = stage.watchHealth()
    const idle = await leaveOpen('Late')
    const { rows } = await idle.query<{ pid: number }>('select pg_backend_pid() as pid')
    const writer = keepWriting(stage, clients[0])
    await arrives('While one is open')
    await writeMuch()
    const kept = await stage.untilReady((readiness) => slot(readiness)?.ok === false)
    expect(kept.status).toBe(200)
    expect(slot(kept)).toMatchObject({
      limit: 32 * 1024 ** 2,
      detail: expect.stringContaining(`process ${rows[0]?.pid}`),
    })
    expect(await stage.metric('tidewire_health_ok{part="slot"}')).toBe(0)
    expect(await stage.metric('tidewire_slot_retained_bytes')).toBeGreaterThan(32 * 1024 ** 2)
    await arrives('While one is open, still')
    for (const tide of clients) expect(await titled(tide, 'Late')).toBe(0)

    await idle.query('commit')
    await idle.end()
    for (const tide of clients) await expect.poll(() => titled(tide, 'Late'), { timeout: 60_000 }).toBe(2)
    const titles = await writer.stop()
    await clients[0].synced()
    await expectOnce(stage, titles)
    await letGo()
    expect(await health.end()).toEqual(['slot'])
    await stage.expectEqual(clients)
    expect(stage.server.pid).toBe(pid)
  })

  test('in another database of the same Postgres, it holds the WAL as well, and health names both', async () => {
    const health = stage.watchHealth()
    const idle = new pg.Client({ connectionString: cluster.url })
    await idle.connect()
    await idle.query('begin')
    const { rows } = await idle.query<{ pid: number }>(
      `select pg_backend_pid() as pid, pg_logical_emit_message(true, 'held', '')`,
    )
    await writeMuch()
    const kept = await stage.untilReady((readiness) => slot(readiness)?.ok === false)
    expect(slot(kept)?.detail).toContain(`process ${rows[0]?.pid} of database postgres`)
    await idle.end()
    await letGo()
    expect(await health.end()).toEqual(['slot'])
  })

  test('a row that somebody keeps locked stops its own writers only: others are delivered, and the server stays ready', async () => {
    const health = stage.watchHealth()
    const idle = new pg.Client({ connectionString: stage.url })
    await idle.connect()
    await idle.query('begin')
    await idle.query('select from projects where id = $1 for update', [stage.projectId])
    // More devices than the server has connections, each with a write that needs the row.
    const writers = await Promise.all(Array.from({ length: 8 }, (_, number) => stage.open(`locked-${number}`)))
    const written = await Promise.all(
      writers.map((tide, number) => tide.tasks.insert({ projectId: stage.projectId, title: `Locked ${number}` })),
    )
    const locked = `select count(*)::integer as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await expect
      .poll(async () => (await stage.sql<{ n: number }>(locked))[0]?.n, { timeout: 60_000 })
      .toBeGreaterThan(3)
    for (let round = 0; round < 2; round++) {
      const project = await clients[0].projects.insert({ name: `Free ${round}`, slug: `free-${round}` })
      await project.$write.wait('synced')
    }
    expect((await stage.ready()).body.troubles ?? []).toEqual([])
    await idle.query('rollback')
    await idle.end()
    await Promise.all(written.map(({ $write }) => $write.wait('synced')))
    // They wait for a connection, as the lock lets them.
    expect(await health.end('requests wait for a connection')).toEqual([])
    await stage.expectEqual(clients)
  })

  test.for(['rolled back', 'cut off'])('when it is %s, nothing of it arrives', async (end) => {
    const health = stage.watchHealth()
    const idle = await leaveOpen('Never')
    idle.on('error', () => undefined)
    const { rows } = await idle.query<{ pid: number }>('select pg_backend_pid() as pid')
    await arrives(`Before it is ${end}`)
    if (end === 'cut off') await stage.sql('select pg_terminate_backend($1, 5000)', [rows[0]?.pid])
    else await idle.query('rollback')
    await idle.end().catch(() => undefined)
    await arrives(`After it is ${end}`)
    for (const tide of clients) expect(await titled(tide, 'Never')).toBe(0)
    await stage.expectEqual(clients)
    expect(await health.end()).toEqual([])
  })
})
