import { decode } from '../client/decode.ts'
import { checkLightClients, openLightClients } from '../client/light-client.ts'
import { broadcastRate } from '../limits/broadcast.ts'
import { until } from '../pause.ts'
import { taskIds } from '../stand/seed.ts'
import type { Workload } from '../workload.ts'
import { planWrites, writeFast } from '../writer.ts'

const subscribers = 100

/**
 * Four writers commit as fast as they can, one row each time; what counts is when the last client has the last change.
 */
export const fanOut: Workload = {
  name: 'fan-out',
  title: 'Fan-out as fast as possible, 100 subscribers',
  async run({ stand }) {
    const raw = await broadcastRate('socket.io', subscribers, stand.size(4, 1))
    await using server = await stand.startServer()
    const project = stand.projects.live
    const writers = await Promise.all(Array.from({ length: 4 }, () => stand.connect()))
    const [writer] = writers
    if (!writer) throw new Error('There is no writer.')
    const ids = await taskIds(writer, project)
    const count = stand.size(5000, 200)
    const plan = planWrites(count)
    let delivered = 0
    let lastAt = 0
    const seen = new Map<number, number>()
    using clients = await openLightClients(subscribers, {
      url: server.url,
      token: await stand.token(),
      channel: project.channel,
      decode,
      onPositions(positions, at) {
        for (const position of positions) {
          if (position < plan.first) continue
          delivered++
          seen.set(position, (seen.get(position) ?? 0) + 1)
        }
        lastAt = at
      },
    })
    const start = performance.now()
    const writes = await writeFast(writers, ids, plan)
    // Every write is of another row, so none may be left out.
    await until(`${count} changes on ${subscribers} clients`, () => {
      checkLightClients()
      return delivered >= count * clients.size
    })
    const seconds = (lastAt - start) / 1000
    await Promise.all(writers.map((one) => one.end()))
    if (seen.size !== count) throw new Error(`${count} changes were written but ${seen.size} different ones were seen.`)
    return [
      {
        name: 'rate',
        what: 'row changes delivered/s, first write → last delivery',
        value: (count * subscribers) / seconds,
        unit: '/s',
        limit: { what: 'raw socket.io, messages delivered/s', value: raw },
      },
      { name: 'writes', what: 'commits/s that four writers reached meanwhile', value: writes.rate, unit: '/s' },
      {
        name: 'drain',
        what: 'last commit → on every client',
        value: Math.max(0, (lastAt - Math.max(...writes.committed)) / 1000),
        unit: 's',
      },
    ]
  },
}
