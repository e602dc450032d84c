import { commitsPerSecond, plainCommitsPerSecond } from '../limits/commits.ts'
import { broadcastRate } from '../limits/broadcast.ts'
import { taskIds } from '../stand/seed.ts'
import { reservePositions } from '../writer.ts'
import type { Workload } from '../workload.ts'

/** What this machine can do without us; the other workloads show these as their limits. */
export const machine: Workload = {
  name: 'machine',
  title: 'What this machine can do: commits, sockets',
  async run(bench) {
    const { stand } = bench
    const seconds = stand.size(3, 1)
    const ws = await broadcastRate('ws', 1000, seconds)
    const io = await broadcastRate('socket.io', 1000, seconds)
    await using _server = await stand.startServer()
    const reader = await stand.connect()
    const ids = await taskIds(reader, stand.projects.live)
    await reader.end()
    const connect = () => stand.connect()
    const one = await bench.once('commits-1', () => plainCommitsPerSecond(connect, 1, seconds))
    const eight = await bench.once('commits-8', () => plainCommitsPerSecond(connect, 8, seconds))
    const first = reservePositions(1_000_000)
    const writers = await Promise.all(Array.from({ length: 8 }, connect))
    const updates = await commitsPerSecond(writers, seconds, (client, index) =>
      client.query({
        name: 'bench_task',
        text: 'update tasks set position = $1 where id = $2',
        values: [first + index, ids[index % ids.length]],
      }),
    )
    await Promise.all(writers.map((writer) => writer.end()))
    return [
      { name: 'commits-1', what: 'plain commits on one connection', value: one, unit: '/s' },
      { name: 'commits-8', what: 'plain commits on 8 connections', value: eight, unit: '/s' },
      {
        name: 'task-commits-8',
        what: `updates of one task on 8 connections, server running`,
        value: updates,
        unit: '/s',
      },
      { name: 'ws', what: 'raw ws broadcast to 1,000, messages delivered', value: ws, unit: '/s' },
      { name: 'socket-io', what: 'raw socket.io broadcast to 1,000, messages delivered', value: io, unit: '/s' },
    ]
  },
}
