import { readFileSync } from 'node:fs'
import type pg from 'pg'

/** CPU seconds (user and system) that a process has used since its start, from Linux's /proc. NaN: it is not there. */
export function cpuSeconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    // Fields 14 and 15 of proc(5), in clock ticks of 10 ms; two fields were cut away.
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return Number.NaN
  }
}

/** What the processes of Postgres do for a database; `background`: for all of them. */
export type BackendRole = 'walsender' | 'log writer' | 'background' | 'others'

const backendsSql = `
select pid, case
    when backend_type = 'walsender' then 'walsender'
    when application_name = 'tidewire log writer' then 'log writer'
    when datname is null then 'background'
    else 'others'
  end as role
from pg_stat_activity where coalesce(datname, current_database()) = current_database() and pid <> pg_backend_pid()`

/** The processes of Postgres that are there now. */
export async function backendRoles(client: pg.ClientBase): Promise<ReadonlyMap<number, BackendRole>> {
  const { rows } = await client.query<{ pid: number; role: BackendRole }>(backendsSql)
  return new Map(rows.map(({ pid, role }) => [pid, role]))
}

/** CPU seconds by role that `work` took in processes that were there before and after it. */
export async function cpuByRole<R extends string>(
  roles: ReadonlyMap<number, R>,
  work: () => Promise<unknown>,
): Promise<ReadonlyMap<R, number>> {
  const before = new Map([...roles.keys()].map((pid) => [pid, cpuSeconds(pid)]))
  await work()
  const used = new Map<R, number>()
  for (const [pid, role] of roles) {
    const seconds = cpuSeconds(pid) - (before.get(pid) ?? 0)
    if (!Number.isNaN(seconds)) used.set(role, (used.get(role) ?? 0) + seconds)
  }
  return used
}
