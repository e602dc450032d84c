// Few rows and many bytes, in one commit and in many, while somebody who follows them does not read his socket.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { RawClient } from '../support/raw-client.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { canMeasurePeak, watchPeak } from './peak-memory.ts'
import { openStage, type Stage } from './stage.ts'
import { addTask } from './writers.ts'

if (!canMeasurePeak) process.stderr.write('LEFT OUT: bytes of rows: memory can be measured on Linux only.\n')

const [commits, rowsEach] = [8, 500]
const rows = commits * rowsEach
/** Of random text, so that neither Postgres nor a page makes it smaller: longer than what deflate looks back. */
const rowBytes = 64 * 1024
/** Of the server's JavaScript, megabytes. */
const heap = 256
/** docs/operations.md, "Sizing". Bytes. */
const mayGrow = 256 * 1024 ** 2
/** Of a server that has had such rows before. */
const mayGrowAgain = 192 * 1024 ** 2

describe.skipIf(!hasOwnCluster || !canMeasurePeak)('rows of many bytes', () => {
  let cluster: Cluster
  let stage: Stage
  let follower: Client
  let other: Client
  let deaf: RawClient

  beforeAll(async () => {
    cluster = await openCluster()
    stage = await openStage({
      cluster: cluster.url,
      env: {
        NODE_OPTIONS: `--conditions=tidewire:source --disable-warning=ExperimentalWarning --max-old-space-size=${heap}`,
      },
    })
    await stage.sql(
      `create table long_text as select string_agg(md5(random()::text || n), '') as text from generate_series(1, $1::integer) n`,
      [rowBytes / 32],
    )
    follower = await stage.open('follower')
    await (
      await follower.subscribe({ project: stage.projectId }, { tables: ['phases'] })
    ).ready
    other = await stage.open('other')
    deaf = await openDeaf()
  })
  afterAll(async () => {
    deaf?.close()
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  /** It follows the rows live, then reads nothing more: neither rows nor pings. */
  async function openDeaf(): Promise<RawClient> {
    const { client } = await RawClient.greeted(stage.server.url, await stage.tokenFor(3600))
    const subscription = { id: 's', channel: `project/${stage.projectId}`, tables: ['phases'], embeddings: false }
    client.send({ type: 'subscribe', subscriptions: [{ ...subscription, held: false }] })
    client.send({ type: 'page', subscription: 's', after: null })
    const { from, next } = await client.next('page')
    expect(next).toBeNull()
    client.send({ type: 'activate', subscription: 's', from })
    await client.next('batch', ({ activated }) => activated.includes('s'))
    client.stopReading()
    return client
  }

  /** Somebody else's commits go on meanwhile. */
  async function passesBy(title: string): Promise<void> {
    const id = await addTask(stage, title)
    await expect.poll(() => other.tasks.get(id), { timeout: 120_000, interval: 20 }).toBeTruthy()
  }

  const insert = `insert into phases (organization_id, project_id, title, objective)
    select organization_id, id, $2 || ' ' || n, text from projects, long_text, generate_series(1, $3::integer) n where id = $1`
  const has = async (title: string): Promise<number> =>
    (await follower.phases.find({ where: { title: { ilike: `${title} %` } } })).length

  test('commit after commit, each small enough for a batch: the server keeps only a few of them', async () => {
    const { pid } = stage.server
    const { before, peak } = watchPeak(pid)
    for (let n = 0; n < commits; n++) {
      await stage.sql(insert, [stage.projectId, `Commit ${n}`, rowsEach])
      await expect.poll(() => has(`Commit ${n}`), { timeout: 120_000, interval: 50 }).toBe(rowsEach)
    }
    await passesBy('After many')
    expect(peak() - before).toBeLessThan(mayGrow)
    await stage.untilReady()
    expect(stage.server.pid).toBe(pid)
  })

  test('one commit, too large for a batch: its followers load it page by page', async () => {
    const { pid } = stage.server
    const { before, peak } = watchPeak(pid)
    await stage.sql(`update phases set title = 'Once ' || title, objective = reverse(objective)`)
    await passesBy('After it')
    await expect.poll(() => has('Once Commit'), { timeout: 120_000, interval: 250 }).toBe(rows)
    expect(peak() - before).toBeLessThan(mayGrowAgain)
    expect(await follower.verify()).toEqual({ equal: true })
    await stage.expectEqual([other, follower])
    await stage.untilReady()
    expect(stage.server.pid).toBe(pid)
  })
})
