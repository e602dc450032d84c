import { backendRoles, cpuByRole, type BackendRole } from '../stand/process-cpu.ts'
import type { Stand } from '../stand/stand.ts'
import { reservePositions } from '../writer.ts'
import { commitsPerSecond } from './commits.ts'

/** `reader`: the process that reads the slot; `client`: the one that asks for the commits. */
export type CostRole = BackendRole | 'writers' | 'client' | 'reader'

/** Commits per second, and microseconds of CPU that each of them took, by role. */
export interface UpdateCost {
  readonly rate: number
  readonly cpu: ReadonlyMap<CostRole, number>
}

/**
 * Commits one-row updates on so many connections as fast as these take them. `reader`: the process that reads a slot
 * meanwhile. Nothing is known of CPU where Postgres runs elsewhere.
 */
export async function updateCost(
  stand: Pick<Stand, 'connect' | 'size'>,
  ids: readonly string[],
  connections: number,
  reader?: number,
): Promise<UpdateCost> {
  const first = reservePositions(1_000_000)
  const probe = await stand.connect()
  const clients = await Promise.all(Array.from({ length: connections }, () => stand.connect()))
  const roles = new Map<number, CostRole>(await backendRoles(probe))
  for (const client of clients) {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    for (const { pid } of rows) roles.set(pid, 'writers')
  }
  roles.set(process.pid, 'client')
  if (reader !== undefined) roles.set(reader, 'reader')
  let [rate, commits] = [0, 0]
  const used = await cpuByRole(roles, async () => {
    rate = await commitsPerSecond(clients, stand.size(5, 1), (client, index) => {
      commits++
      return client.query({
        name: 'bench_update',
        text: 'update tasks set position = $1 where id = $2',
        values: [first + index, ids[index % ids.length]],
      })
    })
  })
  await Promise.all([probe, ...clients].map((client) => client.end()))
  return { rate, cpu: new Map([...used].map(([role, seconds]) => [role, (seconds / commits) * 1e6])) }
}
