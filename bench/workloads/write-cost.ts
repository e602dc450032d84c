import { withSlotReader } from '../limits/slot-reader.ts'
import { updateCost, type CostRole, type UpdateCost } from '../limits/update-cost.ts'
import { pause } from '../pause.ts'
import type { Figure } from '../report.ts'
import { taskIds } from '../stand/seed.ts'
import type { Stand } from '../stand/stand.ts'
import { median } from '../statistics.ts'
import type { Workload } from '../workload.ts'
import { caughtUp } from './capture.ts'

const connections = 8
/**
 * What capture is made of. Nobody else is there, so the other backends of the database are those that read for the
 * server.
 */
const captureRoles = {
  reader: 'the server',
  walsender: 'its walsender',
  'log writer': 'its log writer in Postgres',
  others: 'its readers in Postgres',
} as const satisfies Partial<Record<CostRole, string>>

/**
 * As pgbench does it: eight connections update one task each time, in turn without capture, with a bare walsender whose
 * reader throws all away, and with server and capture. All share the cores, so the server's own work counts too.
 */
export const writeCost: Workload = {
  name: 'write-cost',
  title: 'Write cost of capture for Postgres, one-row commits on 8 connections',
  needsPostgres: true,
  async run({ stand, progress }) {
    const client = await stand.connect()
    const ids = await taskIds(client, stand.projects.live)
    await client.end()
    await makePublication(stand)
    const [off, bare, on]: [UpdateCost[], UpdateCost[], UpdateCost[]] = [[], [], []]
    const rounds = stand.size(4, 1)
    for (let round = 0; round < rounds; round++) {
      const restore = await withoutCapture(stand)
      off.push(await updateCost(stand, ids, connections))
      await restore()
      const drained = await withSlotReader(stand, './drain.worker.ts', (_ready, pid) =>
        updateCost(stand, ids, connections, pid),
      )
      if (drained) bare.push(drained)
      await using server = await stand.startServer()
      await caughtUp(stand)
      // What the start left behind should not be paid by the writers.
      await pause(1000)
      on.push(await updateCost(stand, ids, connections, server.pid))
      const [without, walsender, captured] = [off, bare, on].map((costs) => Math.round(costs.at(-1)?.rate ?? 0))
      progress(`  round ${round + 1}: ${without} commits/s off, ${walsender} with a bare walsender, ${captured} on`)
    }
    return figures(off, bare, on)
  },
}

function figures(
  off: readonly UpdateCost[],
  bare: readonly UpdateCost[],
  on: readonly UpdateCost[],
): readonly Figure[] {
  const [rateOff, rateBare, rateOn] = [rateOf(off), rateOf(bare), rateOf(on)]
  const beside = 'a bare walsender and a reader that throws all away'
  return [
    {
      name: 'share',
      what: 'commits/s with capture, of those without',
      value: (rateOn / rateOff) * 100,
      unit: '%',
      limit: { what: beside, value: (rateBare / rateOff) * 100 },
    },
    {
      name: 'on',
      what: 'commits/s with capture (server running, nobody connected)',
      value: rateOn,
      unit: '/s',
      limit: { what: 'without', value: rateOff },
    },
    {
      name: 'cpu',
      what: 'CPU of all of capture per commit',
      value: cpuOf(on, Object.keys(captureRoles)),
      unit: 'µs',
      limit: { what: beside, value: cpuOf(bare, Object.keys(captureRoles)) },
    },
    ...Object.entries(captureRoles).map(([role, words]) => {
      const limit = { what: 'with the bare walsender', value: cpuOf(bare, [role]) }
      const isBoth = role === 'reader' || role === 'walsender'
      return {
        name: `cpu-${role.replace(' ', '-')}`,
        what: `of it ${words}`,
        value: cpuOf(on, [role]),
        unit: 'µs',
        ...(isBoth ? { limit } : {}),
      }
    }),
    {
      name: 'cpu-writers',
      what: 'CPU of the writers and their backends per commit',
      value: cpuOf(on, ['writers', 'client']),
      unit: 'µs',
      limit: { what: 'without', value: cpuOf(off, ['writers', 'client']) },
    },
  ]
}

function rateOf(costs: readonly UpdateCost[]): number {
  return median(costs.map(({ rate }) => rate))
}

/** Of some roles together. */
function cpuOf(costs: readonly UpdateCost[], roles: readonly string[]): number {
  const sum = ({ cpu }: UpdateCost): number =>
    [...cpu].reduce((total, [role, used]) => total + (roles.includes(role) ? used : 0), 0)
  return median(costs.map(sum))
}

/** The first start of a server makes it. */
async function makePublication(stand: Stand): Promise<void> {
  await using _server = await stand.startServer()
  await caughtUp(stand)
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
