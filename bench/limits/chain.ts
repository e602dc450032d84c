import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { until } from '../pause.ts'
import { captureNames } from '../../server/capture/wal/capture-names.ts'
import { heapFlags } from '../stand/process-memory.ts'
import { taskIds, type Project } from '../stand/seed.ts'
import type { Stand } from '../stand/stand.ts'
import { summarize, type Summary } from '../statistics.ts'
import { planWrites, writePaced } from '../writer.ts'

/** What `chain.worker.ts` is told. */
export interface ChainOrder {
  readonly connectionString: string
  readonly slot: string
  readonly publication: string
}

/** What it answers once it reads the slot and listens. */
export interface ChainReady {
  readonly port: number
}

export interface ChainLatency {
  /** From the moment the writer sends its statement until a client has parsed the row. Milliseconds. */
  readonly fromWrite: Summary
  /** The same from the moment the writer hears that the commit is done. */
  readonly fromCommit: Summary
}

const slot = 'tidewire_bench_chain'

/**
 * The least that a commit needs on its way to a client, on the same table and at the same pace: the writer's
 * statement, a bare walsender, one prepared `select` of the row by its key, one bare `ws`, one `JSON.parse`. No rights,
 * no filters, no order, no replica. It reads the publication of a server, which must have run on the database before.
 * Undefined: the embedded database has no such chain.
 */
export async function chainLatency(
  stand: Stand,
  project: Project,
  perSecond: number,
  seconds: number,
): Promise<ChainLatency | undefined> {
  const { ownUrl } = stand
  if (ownUrl === undefined) return undefined
  const writer = await stand.connect()
  const { publication } = captureNames(new URL(ownUrl).pathname.slice(1))
  const { rows } = await writer.query('select 1 from pg_publication where pubname = $1', [publication])
  if (rows.length === 0) {
    await writer.end()
    return undefined
  }
  await writer.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot])
  const child = fork(fileURLToPath(new URL('./chain.worker.ts', import.meta.url)), { execArgv: [...heapFlags] })
  try {
    child.send({ connectionString: ownUrl, slot, publication } satisfies ChainOrder)
    const [{ port }] = (await once(child, 'message')) as [ChainReady]
    const ids = await taskIds(writer, project)
    const plan = planWrites(perSecond * seconds)
    const arrived: { readonly index: number; readonly at: number }[] = []
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false, skipUTF8Validation: true })
    socket.on('message', (data: Buffer) => {
      const { position } = JSON.parse(data.toString()) as { readonly position: number }
      arrived.push({ index: position - plan.first, at: performance.now() })
    })
    await once(socket, 'open')
    await writePaced(writer, ids, perSecond, plan)
    await until('the last row at the end of the bare chain', () => arrived.length >= plan.count)
    socket.close()
    const since = (times: Float64Array): Summary =>
      summarize(arrived.map(({ index, at }) => at - (times[index] ?? Number.NaN)))
    return { fromWrite: since(plan.begun), fromCommit: since(plan.committed) }
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
    await dropSlot(writer)
    await writer.end()
  }
}

/** Postgres notices a killed reader soon, and until then keeps its slot. */
async function dropSlot(client: { query: (text: string, values: unknown[]) => Promise<unknown> }): Promise<void> {
  const text = `select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = $1 and active_pid is not null`
  await client.query(text, [slot])
  await client.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [
    slot,
  ])
}
