// One transaction of half a million rows: the server's memory stays bounded, and nobody else waits for it.
import { readFileSync } from 'node:fs'
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStage, type Stage } from './stage.ts'
import { addTask } from './writers.ts'

const rows = 500_000
/** Above idle. The log is read in pieces, but a step may hold 250,000 keys before it is given up as too far. */
const boundMiB = 400

let stage: Stage
let clients: readonly [Client, Client]

beforeAll(async () => {
  stage = await openStage()
  clients = [await stage.open('ada'), await stage.open('ben')]
})
afterAll(() => stage[Symbol.asyncDispose]())

/** The most memory the server ever had, MiB. */
function peakMiB(): number {
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${stage.server.pid}/status`, 'utf8'))
  return Number(line?.[1]) / 1024
}

test('a transaction of 500,000 rows comes while others go on, within bounded memory', async () => {
  await stage.expectEqual(clients)
  const idle = peakMiB()
  const big = stage.sql(
    `insert into project_closures (organization_id, project_id, kind, project_name)
     select p.organization_id, p.id, 'cancelled', 'project ' || n from projects p, generate_series(1, $2::integer) n where p.id = $1`,
    [stage.projectId, rows],
  )
  let done = false
  void big.finally(() => (done = true))
  let meanwhile = 0
  for (let n = 0; !done; n++) {
    const title = `Meanwhile ${n}`
    const id = await addTask(stage, title)
    for await (const [row] of clients[0].tasks.live({ where: { id } })) if (row) break
    if (!done) meanwhile++
  }
  await big
  expect(meanwhile).toBeGreaterThan(3)
  const after = await addTask(stage, 'After it')
  for (const tide of clients) for await (const [row] of tide.tasks.live({ where: { id: after } })) if (row) break
  await stage.expectEqual(clients)
  const peak = peakMiB()
  expect(peak - idle).toBeLessThan(boundMiB)
})
