import { pause } from '../pause.ts'
import { taskIds } from '../stand/seed.ts'
import type { Workload } from '../workload.ts'
import { planWrites, writeFast } from '../writer.ts'
import { caughtUp, loggedSince, logHead } from './capture.ts'

/**
 * A backlog of single-row transactions, written while no server ran, is captured as fast as it goes: writers on the same two
 * cores could not commit as many per second. Rate between the first and the last look at the log.
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
    const looks: { readonly at: number; readonly count: number }[] = []
    const starting = stand.startServer()
    starting.catch(() => undefined)
    for (let logged = 0; logged < count; await pause(20)) {
      logged = await loggedSince(reader, head)
      if (logged > 0) looks.push({ at: performance.now(), count: logged })
      await Promise.race([starting, pause(1)])
    }
    const server = await starting
    await server.stop()
    await Promise.all(writers.map((writer) => writer.end()))
    const [from] = looks
    const to = looks.find((look) => look.count >= count)
    if (!from || !to || from === to) {
      return [
        {
          name: 'written',
          what: 'captured by trigger within each transaction: commits on 8 connections, asynchronous',
          value: rate,
          unit: '/s',
        },
      ]
    }
    const seconds = (to.at - from.at) / 1000
    return [
      {
        name: 'rate',
        what: `backlog of ${count} transactions, into the durable log`,
        value: (to.count - from.count) / seconds,
        unit: '/s',
      },
    ]
  },
}
