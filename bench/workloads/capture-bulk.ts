import { secondsOf, until } from '../pause.ts'
import { seedProject } from '../stand/seed.ts'
import type { Workload } from '../workload.ts'
import { caughtUp, loggedSince, logHead } from './capture.ts'

/** Time from the acknowledged commit until the change log holds every key; the transaction itself is not counted. */
export const captureBulk: Workload = {
  name: 'capture-bulk',
  title: 'Capture of one transaction of 200,000 rows',
  needsPostgres: true,
  async run({ stand, progress }) {
    const count = stand.size(200_000, 2000)
    await using server = await stand.startServer()
    await caughtUp(stand)
    const writer = await stand.connect()
    const head = await logHead(writer)
    server.memory.resetPeak()
    const idle = server.memory.resident / 1e6
    progress(`  writing ${count} rows in one transaction`)
    await writer.query('begin')
    await seedProject(writer, stand.organizationId, stand.userId, `bulk-${String(head)}`, count)
    await writer.query('commit')
    const seconds = await secondsOf(() =>
      until(`${count} keys in the log`, async () => (await loggedSince(writer, head)) >= count, {
        everyMs: 20,
        timeoutMs: 300_000,
      }),
    )
    const peak = server.memory.peak / 1e6
    await writer.query(`delete from projects where slug = $1`, [`bench-bulk-${String(head)}`])
    await writer.end()
    return [
      {
        name: 'rate',
        what: `${count} rows, commit acknowledged → all keys in the log`,
        value: count / seconds,
        unit: 'rows/s',
      },
      { name: 'time', what: 'the same as time', value: seconds, unit: 's' },
      { name: 'memory', what: 'peak memory of the server meanwhile, above idle', value: peak - idle, unit: 'MB' },
    ]
  },
}
