import { broadcastLatency, broadcastRate } from '../limits/broadcast.ts'
import type { Workload } from '../workload.ts'
import { measureLive } from './live.ts'

export const live1000: Workload = {
  name: 'live-1000',
  title: 'Live latency, 1,000 subscribers, 50 and 20 commits/s',
  async run(bench) {
    const { stand } = bench
    const subscribers = stand.size(1000, 50)
    const seconds = stand.size(10, 1)
    const rate = await broadcastRate('socket.io', subscribers, stand.size(4, 1))
    const raw = await broadcastLatency('socket.io', subscribers, 20, stand.size(5, 1))
    const request = { project: stand.projects.few, subscribers, seconds, sharedDecode: true }
    const fast = await measureLive(bench, { ...request, perSecond: 50 })
    const slow = await measureLive(bench, { ...request, perSecond: 20 })
    return [
      { name: 'p50', what: 'p50 at 50 commits/s, write → decoded', value: fast.fromWrite.p50, unit: 'ms' },
      { name: 'p99', what: 'p99 of the same', value: fast.fromWrite.p99, unit: 'ms' },
      {
        name: 'rate',
        what: 'commits/s that the writer reached',
        value: fast.rate,
        unit: '/s',
        limit: { what: 'raw socket.io: messages delivered/s ÷ subscribers', value: rate / subscribers },
      },
      { name: 'drain', what: 'last commit → on every client', value: fast.drain, unit: 's' },
      {
        name: 'coalesced',
        what: 'changes left out because a newer one of the row was in the same frame',
        value: fast.coalesced * 100,
        unit: '%',
      },
      {
        name: 'slow-p50',
        what: 'p50 at 20 commits/s, commit acknowledged → decoded',
        value: slow.fromCommit.p50,
        unit: 'ms',
        limit: { what: 'raw socket.io broadcast p50', value: raw.p50 },
      },
      {
        name: 'slow-p99',
        what: 'p99 of the same',
        value: slow.fromCommit.p99,
        unit: 'ms',
        limit: { what: 'raw socket.io broadcast p99', value: raw.p99 },
      },
    ]
  },
}
