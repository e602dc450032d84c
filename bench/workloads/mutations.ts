import { connect } from '../../client-sdk/index.ts'
import { LightClient } from '../client/light-client.ts'
import { plainCommitsPerSecond } from '../limits/commits.ts'
import { until } from '../pause.ts'
import { taskIds } from '../stand/seed.ts'
import type { Workload } from '../workload.ts'
import { reservePositions } from '../writer.ts'

export const mutations: Workload = {
  name: 'mutations',
  title: '1,000 single-row mutations of one client',
  runs: 3,
  async run(bench) {
    const { stand } = bench
    const count = stand.size(1000, 50)
    await using server = await stand.startServer()
    const reader = await stand.connect()
    const ids = (await taskIds(reader, stand.projects.live)).slice(0, count)
    await reader.end()
    const one = await bench.once('commits-1', () => plainCommitsPerSecond(() => stand.connect(), 1, stand.size(3, 1)))
    const eight = await bench.once('commits-8', () => plainCommitsPerSecond(() => stand.connect(), 8, stand.size(3, 1)))
    const token = await stand.token()
    const { id, channel } = stand.projects.live
    const first = reservePositions(count)
    const seen = new Set<number>()
    let seenAt = 0
    const second = new LightClient({
      url: server.url,
      token,
      channel,
      onPositions(positions, at) {
        for (const position of positions) if (position >= first) seen.add(position)
        seenAt = at
      },
    })
    await second.live
    const tide = await connect({
      url: server.url,
      token,
      replica: { kind: 'memory' },
      device: { name: 'bench', kind: 'server' },
    })
    const followed = await tide.subscribe({ project: id }, { tables: ['tasks'], embeddings: false })
    await followed.ready
    const start = performance.now()
    const writes = await Promise.all(ids.map((taskId, index) => tide.tasks.update(taskId, { position: first + index })))
    const local = performance.now()
    await Promise.all(writes.map((write) => write.wait('acknowledged')))
    const acknowledged = performance.now()
    await until(`${count} changes on the second client`, () => seen.size >= count)
    await tide.close()
    second.close()
    return [
      {
        name: 'local',
        what: `${count} updates, call → durable on the own (memory) replica`,
        value: (local - start) / 1000,
        unit: 's',
      },
      {
        name: 'acknowledged',
        what: `${count} updates, first call → all acknowledged`,
        value: (acknowledged - start) / 1000,
        unit: 's',
        limit: { what: 'plain commits on one connection', value: count / one },
      },
      {
        name: 'seen',
        what: `${count} updates, first call → all decoded by a second, light client`,
        value: (seenAt - start) / 1000,
        unit: 's',
        limit: { what: 'plain commits on 8 connections', value: count / eight },
      },
    ]
  },
}
