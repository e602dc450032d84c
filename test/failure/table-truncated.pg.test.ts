import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Client } from '@tidewire/client'
import { openStage, type Stage } from './stage.ts'

let stage: Stage
let clients: readonly [Client, Client]

beforeAll(async () => {
  stage = await openStage()
  clients = [await stage.open('ada'), await stage.open('ben', 'pglite')]
})
afterAll(() => stage[Symbol.asyncDispose]())

/** Every task but the first needs the one before it. */
const linkTasks = `
insert into task_dependencies (organization_id, project_id, task_id, depends_on_task_id)
select organization_id, project_id, id, before from (
  select t.*, lag(t.id) over (order by t.id) as before from tasks t) with_before
where before is not null`

test('TRUNCATE of a synced table empties it everywhere, offline replicas too, and what follows arrives', async () => {
  const [ada, ben] = clients
  const health = stage.watchHealth()
  await stage.sql(linkTasks)
  await stage.expectEqual(clients)
  expect((await ben.taskDependencies.find({})).length).toBeGreaterThan(5)
  ben.disconnect()
  await stage.sql('truncate task_dependencies')
  await stage.expectEqual([ada])
  expect(await ada.taskDependencies.find({})).toEqual([])
  const [first, second] = await ada.tasks.find({ limit: 2 })
  const own = await ada.taskDependencies.insert({
    projectId: stage.projectId,
    taskId: first?.id ?? '',
    dependsOnTaskId: second?.id ?? '',
  })
  await own.$write.wait('synced')
  ben.connect()
  await stage.expectEqual(clients)
  expect(await ben.taskDependencies.find({})).toMatchObject([{ id: own.id }])
  expect(await health.end()).toEqual([])
})

test('a table emptied and filled again in one transaction holds the new rows, and only them', async () => {
  const health = stage.watchHealth()
  await stage.sql('truncate task_dependencies')
  await stage.sql(linkTasks)
  await stage.expectEqual(clients)
  await stage.sql(`do $$ begin truncate task_dependencies; ${linkTasks} limit 3; end $$`)
  await stage.expectEqual(clients)
  expect(await clients[0].taskDependencies.find({})).toHaveLength(3)
  expect(await health.end()).toEqual([])
})
