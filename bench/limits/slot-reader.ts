import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { captureNames } from '../../server/capture/wal/capture-names.ts'
import { heapFlags } from '../stand/process-memory.ts'
import type { Stand } from '../stand/stand.ts'

/** What a worker is told that reads a slot. Once it reads, it answers with a message. */
export interface SlotOrder {
  readonly connectionString: string
  readonly slot: string
  readonly publication: string
}

const slot = 'tidewire_bench'

/**
 * Runs `use` while a process of its own reads a fresh slot with a server's publication; `worker` is a module of this
 * folder. Undefined: the embedded database has no slots, or no server has made the publication yet.
 */
export async function withSlotReader<Ready, T>(
  stand: Pick<Stand, 'ownUrl' | 'connect'>,
  worker: string,
  use: (ready: Ready, pid: number) => Promise<T>,
): Promise<T | undefined> {
  const { ownUrl } = stand
  if (ownUrl === undefined) return undefined
  const client = await stand.connect()
  try {
    const { publication } = captureNames(new URL(ownUrl).pathname.slice(1))
    const { rows } = await client.query('select 1 from pg_publication where pubname = $1', [publication])
    if (rows.length === 0) return undefined
    await client.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot])
    const child = fork(fileURLToPath(new URL(worker, import.meta.url)), { execArgv: [...heapFlags] })
    try {
      child.send({ connectionString: ownUrl, slot, publication } satisfies SlotOrder)
      const [ready] = (await once(child, 'message')) as [Ready]
      return await use(ready, child.pid ?? 0)
    } finally {
      if (child.exitCode === null && child.signalCode === null) {
        const gone = once(child, 'exit')
        child.kill('SIGKILL')
        await gone
      }
      await dropSlot(client)
    }
  } finally {
    await client.end()
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
