import { commitsPerSecond } from '../limits/commits.ts'
import { pause } from '../pause.ts'
import { taskIds } from '../stand/seed.ts'
import type { Stand } from '../stand/stand.ts'
import { median } from '../statistics.ts'
import { reservePositions } from '../writer.ts'
import type { Workload } from '../workload.ts'
import { caughtUp } from './capture.ts'

const connections = 8

/**
 * As pgbench does it: eight connections update one task each time, without capture and with server and capture in turn. The server and the
 * writers share the cores, so its own work counts too.
 */
export const writeCost: Workload = {
  name: 'write-cost',
  title: 'Write cost of capture for Postgres, one-row commits on 8 connections',
  needsPostgres: true,
  async run({ stand, progress }) {
    const reader = await stand.connect()
    const ids = await taskIds(reader, stand.projects.live)
    await reader.end()
    const off: number[] = []
    const on: number[] = []
    const rounds = stand.size(4, 1)
    for (let round = 0; round < rounds; round++) {
      const restore = await withoutCapture(stand)
      off.push(await updateRate(stand, ids))
      await restore()
      await using server = await stand.startServer()
      await caughtUp(stand)
      // What the start left behind should not be paid by the writers.
      await pause(1000)
      on.push(await updateRate(stand, ids))
      progress(
        `  round ${round + 1}: ${Math.round(off.at(-1) ?? 0)} commits/s off, ${Math.round(on.at(-1) ?? 0)} on, on ${server.url}`,
      )
    }
    return [
      {
        name: 'share',
        what: 'commits/s with capture, of those without',
        value: (median(on) / median(off)) * 100,
        unit: '%',
      },
      {
        name: 'on',
        what: 'commits/s with capture (server running, nobody connected)',
        value: median(on),
        unit: '/s',
        limit: { what: 'without', value: median(off) },
      },
    ]
  },
}

/** Switches off whatever triggers capture has on `tasks`; the result switches them on again. */
async function withoutCapture(stand: Stand): Promise<() => Promise<void>> {
  const client = await stand.connect()
  const { rows } = await client.query<{ name: string }>(
    `select tgname as name from pg_trigger where tgrelid = 'tasks'::regclass and tgenabled <> 'D' and (tgname like 'capture\\_%' or tgname = 'tell_origin')`,
  )
  for (const { name } of rows) await client.query(`alter table tasks disable trigger ${name}`)
  return async () => {
    for (const { name } of rows) await client.query(`alter table tasks enable always trigger ${name}`)
    await client.end()
  }
}

function updateRate(stand: Stand, ids: readonly string[]): Promise<number> {
  const first = reservePositions(1_000_000)
  return commitsPerSecond(
    () => stand.connect(),
    connections,
    stand.size(5, 1),
    (client, index) =>
      client.query({
        name: 'bench_update',
        text: 'update tasks set position = $1 where id = $2',
        values: [first + index, ids[index % ids.length]],
      }),
  )
}
