// The change log is pruned while devices that were away for long come back to it.
import type { Client } from '@tidewire/client'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pruneLog } from '../../server/maintenance/prune.ts'
import { isCurrent, openStage, untilStatus, type Stage } from './stage.ts'
import { addTask, expectOnce, keepWriting } from './writers.ts'

let stage: Stage
let pool: pg.Pool
let clients: readonly [Client, Client, Client]

beforeAll(async () => {
  stage = await openStage()
  pool = new pg.Pool({ connectionString: stage.url, max: 2 })
  clients = [await stage.open('ada'), await stage.open('ben'), await stage.open('cleo', 'pglite')]
})
afterAll(async () => {
  await pool?.end()
  await stage?.[Symbol.asyncDispose]()
})

/** Commits of many sizes; the greatest are logged as one entry each. */
const sizes = [1, 40, 11_000, 3, 500, 1]

test('the log is pruned to nothing again and again while devices catch up: each has all or begins anew, and keeps what it had not sent', async () => {
  const [ada, ...away] = clients
  const { pid } = stage.server
  const { length } = stage.server.log
  const health = stage.watchHealth()
  for (let round = 0; round < 4; round++) {
    const writer = keepWriting(stage, ada)
    const unsent: string[] = []
    for (const [n, tide] of away.entries()) {
      tide.disconnect()
      const title = `Unsent ${round}.${n}`
      await tide.tasks.insert({ projectId: stage.projectId, title })
      unsent.push(title)
    }
    for (const count of sizes)
      await stage.sql(
        `insert into plans (organization_id, project_id, title) select organization_id, id, n::text from projects, generate_series(1, $2::integer) n where id = $1`,
        [stage.projectId, count],
      )
    await stage.sql(`delete from plans where title ~ '^[0-9]+$' and title::integer > 30`)
    // The last round is of a log that was pruned once, before they came. A log that is pruned without an end lets
    // nobody begin anew.
    const pruning = (async () => {
      for (let n = 0; n < 5 && round < 3; n++) await pruneLog(pool, { keepMs: 0, keepRows: round * 10_000 })
    })()
    if (round === 3) await pruneLog(pool, { keepMs: 0, keepRows: 0 })
    for (const tide of away) tide.connect()
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await pruning
    await writer.oneMore()
    const titles = await writer.stop()
    await Promise.all(clients.map((tide) => tide.synced()))
    await expectOnce(stage, new Set([...titles, ...unsent]))
    await addTask(stage, `Round ${round}`)
    await stage.expectEqual(clients)
  }
  expect(await health.end()).toEqual([])
  expect(stage.server.pid).toBe(pid)
  // Those who begin anew are no gap, and no trouble.
  expect(stage.server.log.slice(length).map(({ code }) => code)).not.toContain('capture_gap')
}, 300_000)
