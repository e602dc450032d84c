import { connect } from '../../client-sdk/index.ts'
import { broadcastLatency } from '../limits/broadcast.ts'
import { chainLatency } from '../limits/chain.ts'
import { until } from '../pause.ts'
import { taskIds } from '../stand/seed.ts'
import { summarize } from '../statistics.ts'
import type { Bench, Workload } from '../workload.ts'
import { planWrites, warmUp, writePaced } from '../writer.ts'
import { measureLive } from './live.ts'

/**
 * On processes that have been at work for ten seconds: from the writer's statement until the application's live query
 * has called back, and until the bytes are decoded.
 */
export const live1: Workload = {
  name: 'live-1',
  title: 'Live latency, 1 subscriber, 50 commits/s',
  async run(bench) {
    const { stand } = bench
    const seconds = stand.size(10, 1)
    const commits = stand.size(2500, 50)
    const raw = await broadcastLatency('ws', 1, 50, stand.size(5, 1))
    const wire = await measureLive(bench, {
      project: stand.projects.live,
      subscribers: 1,
      perSecond: 50,
      seconds,
      warmUp: commits,
      sharedDecode: false,
    })
    // Behind a server, which has made the publication.
    const chain = await chainLatency(stand, stand.projects.live, { warmUp: commits, perSecond: 50, seconds })
    const sdk = await measureSdk(bench, seconds, commits)
    const bare = { what: 'raw ws broadcast p50', value: raw.p50 }
    const limit = chain ? { what: 'bare chain of the same hops p50', value: chain.fromWrite.p50 } : bare
    const commitLimit = chain ? { what: 'the same chain from the commit on', value: chain.fromCommit.p50 } : bare
    return [
      {
        name: 'p50',
        what: 'p50, write → live query of the SDK (memory replica) called back',
        value: sdk.p50,
        unit: 'ms',
        limit,
      },
      { name: 'p99', what: 'p99 of the same', value: sdk.p99, unit: 'ms' },
      {
        name: 'wire-p50',
        what: 'p50, write → decoded by a light client',
        value: wire.fromWrite.p50,
        unit: 'ms',
        limit,
      },
      {
        name: 'wire-commit-p50',
        what: 'p50, commit acknowledged → decoded by a light client',
        value: wire.fromCommit.p50,
        unit: 'ms',
        limit: commitLimit,
      },
      { name: 'socket-p50', what: 'p50 of a raw ws broadcast, the last hop alone', value: raw.p50, unit: 'ms' },
    ]
  },
}

async function measureSdk({ stand }: Bench, seconds: number, commits: number): Promise<ReturnType<typeof summarize>> {
  const project = stand.projects.live
  await using server = await stand.startServer()
  const writer = await stand.connect()
  const ids = await taskIds(writer, project)
  const tide = await connect({
    url: server.url,
    token: await stand.token(),
    replica: { kind: 'memory' },
    device: { name: 'bench', kind: 'server' },
  })
  const followed = await tide.subscribe({ project: project.id }, { tables: ['tasks'], embeddings: false })
  await followed.ready
  const warming = planWrites(commits)
  const plan = planWrites(50 * seconds)
  const latencies: number[] = []
  const seen = new Set<number>()
  const stop = tide.tasks.live(
    { where: { projectId: project.id, position: { gte: plan.first } }, orderBy: [{ position: 'desc' }], limit: 20 },
    (rows) => {
      const now = performance.now()
      for (const { position } of rows) {
        const begun = plan.begun[position - plan.first]
        if (!begun || seen.has(position)) continue
        seen.add(position)
        latencies.push(now - begun)
      }
    },
  )
  await warmUp(writer, ids, warming)
  await writePaced(writer, ids, 50, plan)
  await until('the last change in the live query', () => seen.has(plan.first + plan.count - 1))
  stop()
  await tide.close()
  await writer.end()
  return summarize(latencies)
}
