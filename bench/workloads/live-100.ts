import { broadcastLatency } from '../limits/broadcast.ts'
import type { Workload } from '../workload.ts'
import { measureLive } from './live.ts'

export const live100: Workload = {
  name: 'live-100',
  title: 'Live latency, 100 subscribers, 50 commits/s: 5,000 deliveries/s',
  async run(bench) {
    const { stand } = bench
    const raw = await broadcastLatency('socket.io', 100, 50, stand.size(5, 1))
    const live = await measureLive(bench, {
      project: stand.projects.live,
      subscribers: 100,
      perSecond: 50,
      seconds: stand.size(10, 1),
      sharedDecode: false,
    })
    const twice = await measureLive(bench, {
      project: stand.projects.live,
      subscribers: 200,
      perSecond: 50,
      seconds: stand.size(5, 1),
      sharedDecode: false,
    })
    return [
      {
        name: 'p50',
        what: 'p50, write → decoded',
        value: live.fromWrite.p50,
        unit: 'ms',
        limit: { what: 'raw socket.io broadcast p50', value: raw.p50 },
      },
      {
        name: 'p99',
        what: 'p99, write → decoded',
        value: live.fromWrite.p99,
        unit: 'ms',
        limit: { what: 'raw socket.io broadcast p99', value: raw.p99 },
      },
      { name: 'commit-p50', what: 'p50, commit acknowledged → decoded', value: live.fromCommit.p50, unit: 'ms' },
      { name: 'p50-200', what: 'p50 with 200 subscribers, write → decoded', value: twice.fromWrite.p50, unit: 'ms' },
      { name: 'rate', what: 'commits/s that the writer reached', value: live.rate, unit: '/s' },
    ]
  },
}
