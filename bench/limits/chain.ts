import { once } from 'node:events'
import { WebSocket } from 'ws'
import { until } from '../pause.ts'
import { taskIds, type Project } from '../stand/seed.ts'
import type { Stand } from '../stand/stand.ts'
import { summarize, type Summary } from '../statistics.ts'
import { planWrites, warmUp, writePaced } from '../writer.ts'
import { withSlotReader } from './slot-reader.ts'

/** What `chain.worker.ts` answers once it reads the slot and listens. */
export interface ChainReady {
  readonly port: number
}

export interface ChainRequest {
  /** Commits before those that are measured. */
  readonly warmUp: number
  readonly perSecond: number
  readonly seconds: number
}

export interface ChainLatency {
  /** From the moment the writer sends its statement until a client has parsed the row. Milliseconds. */
  readonly fromWrite: Summary
  /** The same from the moment the writer hears that the commit is done. */
  readonly fromCommit: Summary
}

/**
 * The least that a commit needs on its way to a client, on the same table and at the same pace: the writer's
 * statement, a bare walsender, one prepared `select` of the row by its key, one bare `ws`, one `JSON.parse`. No rights,
 * no filters, no order, no replica. It reads the publication of a server, which must have run on the database before.
 * Undefined: the embedded database has no such chain.
 */
export function chainLatency(
  stand: Stand,
  project: Project,
  { warmUp: commits, perSecond, seconds }: ChainRequest,
): Promise<ChainLatency | undefined> {
  return withSlotReader<ChainReady, ChainLatency>(stand, './chain.worker.ts', async ({ port }) => {
    const writer = await stand.connect()
    const ids = await taskIds(writer, project)
    const warming = planWrites(commits)
    const plan = planWrites(perSecond * seconds)
    const arrived: { readonly index: number; readonly at: number }[] = []
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false, skipUTF8Validation: true })
    socket.on('message', (data: Buffer) => {
      const { position } = JSON.parse(data.toString()) as { readonly position: number }
      const index = position - plan.first
      if (index >= 0) arrived.push({ index, at: performance.now() })
    })
    await once(socket, 'open')
    await warmUp(writer, ids, warming)
    await writePaced(writer, ids, perSecond, plan)
    await until('the last row at the end of the bare chain', () => arrived.length >= plan.count)
    socket.close()
    await writer.end()
    const since = (times: Float64Array): Summary =>
      summarize(arrived.map(({ index, at }) => at - (times[index] ?? Number.NaN)))
    return { fromWrite: since(plan.begun), fromCommit: since(plan.committed) }
  })
}
