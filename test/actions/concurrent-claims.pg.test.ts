import { afterAll, beforeAll, expect, it } from 'vitest'
import { createActionWorld, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld('postgres')
})
afterAll(() => world.close())

it('a thousand claims at the same time take each task once, and nobody waits in vain', async () => {
  const tasks = 400
  await world.query(
    `insert into tasks (organization_id, project_id, title) select $1, $2, 'T' || n from generate_series(1, $3) as n`,
    [world.fixture.organizationId, world.fixture.projectId, tasks],
  )
  const claims = await Promise.all(
    Array.from({ length: 1000 }, () => world.call(world.agent, 'tasks.claim', { agentId: world.fixture.agentId })),
  )
  const taken = claims.flatMap((claim) => {
    const { task } = claim as { readonly task: { readonly id: string } | null }
    return task === null ? [] : [task.id]
  })
  expect(taken).toHaveLength(tasks)
  expect(new Set(taken).size).toBe(tasks)
  expect(await world.query('select count(*)::int as n, max(attempt)::int as attempt from task_runs')).toEqual([
    { n: tasks, attempt: 1 },
  ])
})

it('two children that end at the same time both count for their parent', async () => {
  const parent = await world.addTask()
  const children = await Promise.all(Array.from({ length: 8 }, () => world.addTask({ parent_task_id: parent.id })))
  await Promise.all(children.map(({ id }) => world.query(`update tasks set status = 'completed' where id = $1`, [id])))
  expect((await world.read('tasks', parent.id))['progress_percentage']).toBe('100.00')
})
