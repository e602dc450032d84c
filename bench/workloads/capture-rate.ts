import type pg from 'pg'
import { until } from '../pause.ts'
import { taskIds } from '../stand/seed.ts'
import type { Workload } from '../workload.ts'
import { planWrites, writeFast } from '../writer.ts'
import { caughtUp, loggedSince, logHead } from './capture.ts'

/**
 * A backlog of single-row transactions, written while no server ran, is captured as fast as it goes: writers on the
 * same two cores could not commit as many per second. From the moment at which the slot is read.
 */
export const captureRate: Workload = {
  name: 'capture-rate',
  title: 'Captured single-row transactions per second',
  needsPostgres: true,
  async run({ stand, progress }) {
    const count = stand.size(20_000, 500)
    const first = await stand.startServer()
    await caughtUp(stand)
    await first.stop()
    const writers = await Promise.all(Array.from({ length: 8 }, () => stand.connect()))
    const [reader] = writers
    if (!reader) throw new Error('There is no connection.')
    for (const writer of writers) await writer.query('set synchronous_commit = off')
    const head = await logHead(reader)
    const ids = await taskIds(reader, stand.projects.live)
    const { rate } = await writeFast(writers, ids, planWrites(count))
    progress(`  ${count} commits written at ${Math.round(rate)}/s`)
    const byTrigger = (await loggedSince(reader, head)) >= count
    if (byTrigger) {
      await Promise.all(writers.map((writer) => writer.end()))
      return [
        {
          name: 'rate',
          what: 'captured by trigger within each transaction: commits on 8 connections, asynchronous',
          value: rate,
          unit: '/s',
        },
      ]
    }
    const starting = stand.startServer()
    starting.catch(() => undefined)
    // The slot is in use from the moment at which the server begins to read.
    await until('a reader of the slot', () => isSlotActive(reader), { everyMs: 5 })
    const activeAt = performance.now()
    await until(`${count} keys in the log`, async () => (await loggedSince(reader, head)) >= count, { everyMs: 30 })
    const seconds = (performance.now() - activeAt) / 1000
    const server = await starting
    await server.stop()
    await Promise.all(writers.map((writer) => writer.end()))
    return [
      {
        name: 'rate',
        what: `backlog of ${count} transactions, reading begins → all in the durable log`,
        value: count / seconds,
        unit: '/s',
      },
    ]
  },
}

async function isSlotActive(client: pg.Client): Promise<boolean> {
  const { rowCount } = await client.query(
    'select 1 from pg_replication_slots where database = current_database() and active',
  )
  return (rowCount ?? 0) > 0
}
