// Somebody changes the publication under a running server.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isCurrent, openStage, untilStatus, type Stage } from './stage.ts'
import { addTask } from './writers.ts'

let stage: Stage
let clients: readonly [Client, Client]

beforeAll(async () => {
  stage = await openStage()
  clients = [await stage.open('ada'), await stage.open('ben')]
})
afterAll(() => stage[Symbol.asyncDispose]())

const ways = [
  ['dropped', (name: string) => `drop publication ${name}`, undefined],
  ['robbed of a table', (name: string) => `alter publication ${name} drop table tasks`, undefined],
  [
    'robbed of a table that is given back',
    (name: string) => `alter publication ${name} drop table tasks`,
    (name: string) => `alter publication ${name} add table tasks (id, channel, organization_id, version)`,
  ],
  ['told to leave out updates', (name: string) => `alter publication ${name} set (publish = 'insert')`, undefined],
] as const

test.for(ways)(
  'a publication that is %s: what it left out reaches everybody, and it is mended',
  async ([, spoil, mend]) => {
    const [ada, ben] = clients
    const [since, health] = [stage.server.log.length, stage.watchHealth()]
    const [publication] = await stage.sql('select pubname as name from pg_publication')
    const name = publication?.['name'] ?? ''
    const [task] = await ada.tasks.find({ limit: 1 })
    ben.disconnect()
    await stage.sql(spoil(name))
    await stage.sql(`update tasks set title = title || ', unseen' where id = $1`, [task?.id])
    if (mend) await stage.sql(mend(name))
    const line = await stage.server.logged(({ code }) => code === 'capture_gap', since)
    expect(line).toMatchObject({ level: 50, remedy: expect.any(String) })
    await stage.untilReady()
    for (const tide of clients) tide.connect()
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await addTask(stage, 'Seen again')
    await stage.expectEqual(clients)
    const [state] = await stage.sql<{ whole: boolean }>(
      `select bool_and(pubinsert and pubupdate and pubdelete and pubtruncate and exists (
       select from pg_publication_tables t where t.pubname = p.pubname and t.tablename = 'tasks')) as whole from pg_publication p`,
    )
    expect(state).toEqual({ whole: true })
    expect(await health.end('the slot is taken anew', 'another epoch begins', 'a publication is mended')).toEqual([])
  },
)

test('a replica identity that is changed makes the WAL unreadable: the slot is made anew, and nobody misses a thing', async () => {
  const [since, health] = [stage.server.log.length, stage.watchHealth()]
  const { pid } = stage.server
  await stage.sql('alter table task_dependencies replica identity default')
  await stage.sql(
    `insert into task_dependencies (organization_id, project_id, task_id, depends_on_task_id)
     select organization_id, project_id, id, before from (select t.*, lag(t.id) over (order by t.id) as before from tasks t) b where before is not null`,
  )
  await stage.sql('delete from task_dependencies where id in (select id from task_dependencies limit 2)')
  await stage.server.logged(({ code, slot }) => code === 'capture_gap' && slot === 'unreadable', since)
  await stage.untilReady()
  for (const tide of clients) tide.connect()
  await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
  await stage.expectEqual(clients)
  expect(await health.end('the slot is taken anew', 'another epoch begins', 'a publication is mended')).toEqual([])
  expect(stage.server.pid).toBe(pid)
})
