import { createSharedDecode, decode } from '../client/decode.ts'
import { checkLightClients, openLightClients } from '../client/light-client.ts'
import { until } from '../pause.ts'
import { taskIds, type Project } from '../stand/seed.ts'
import { summarize, type Summary } from '../statistics.ts'
import type { Bench } from '../workload.ts'
import { planWrites, warmUp, writePaced } from '../writer.ts'

export interface LiveRequest {
  readonly project: Project
  readonly subscribers: number
  readonly perSecond: number
  readonly seconds: number
  /** Commits before those that are measured. */
  readonly warmUp?: number
  /** Whether equal frames are decoded once for all clients (see client/decode.ts). */
  readonly sharedDecode: boolean
}

export interface LiveResult {
  /** From the moment the writer sends its statement until a client has decoded the change. Milliseconds. */
  readonly fromWrite: Summary
  /** The same from the moment the writer hears that the commit is done. */
  readonly fromCommit: Summary
  /** Commits per second that the writer reached. */
  readonly rate: number
  /** Share of deliveries that were left out because the same row came again in the same frame. */
  readonly coalesced: number
  /** Seconds from the last commit until every client had it. */
  readonly drain: number
}

/** One writer at an even pace, so many light clients; measures every delivery to every client. */
export async function measureLive(
  { stand }: Bench,
  { project, subscribers, perSecond, seconds, sharedDecode, warmUp: commits = 0 }: LiveRequest,
): Promise<LiveResult> {
  await using server = await stand.startServer()
  const token = await stand.token()
  const writer = await stand.connect()
  const ids = await taskIds(writer, project)
  const writes = Math.round(perSecond * seconds)
  const warming = planWrites(commits)
  const plan = planWrites(writes)
  const arrived: { readonly index: number; readonly at: number }[] = []
  let complete = 0
  let lastAt = 0
  using clients = await openLightClients(subscribers, {
    url: server.url,
    token,
    channel: project.channel,
    decode: sharedDecode ? createSharedDecode() : decode,
    onPositions(positions, at) {
      for (const position of positions) {
        const index = position - plan.first
        if (index < 0) continue
        arrived.push({ index, at })
        // Commits come in order, so whoever has the last one has all.
        if (index === writes - 1) complete++
        lastAt = at
      }
    },
  })
  await warmUp(writer, ids, warming)
  const { rate } = await writePaced(writer, ids, perSecond, plan)
  await until(`the last change on ${subscribers} clients`, () => {
    checkLightClients()
    return complete >= clients.size
  })
  await writer.end()
  const since = (times: Float64Array): Float64Array =>
    Float64Array.from(arrived, ({ index, at }) => at - (times[index] ?? Number.NaN))
  return {
    fromWrite: summarize(since(plan.begun)),
    fromCommit: summarize(since(plan.committed)),
    rate,
    coalesced: 1 - arrived.length / (writes * subscribers),
    drain: Math.max(0, (lastAt - (plan.committed[writes - 1] ?? 0)) / 1000),
  }
}
