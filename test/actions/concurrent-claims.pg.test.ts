import { afterAll, beforeAll, expect, test } from 'vitest'
import { createActionWorld, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld('postgres')
})
afterAll(() => world.close())

test('a thousand claims at the same time take each task once, and nobody waits in vain', async () => {
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

test('two children that end at the same time both count for their parent', async () => {
  const parent = await world.addTask()
  const children = await Promise.all(Array.from({ length: 8 }, () => world.addTask({ parent_task_id: parent.id })))
  await Promise.all(children.map(({ id }) => world.query(`update tasks set status = 'completed' where id = $1`, [id])))
  expect((await world.read('tasks', parent.id))['progress_percentage']).toBe('100.00')
})

test('steps that are claimed and finished at the same time are done once each, and their run ends once', async () => {
  const { id: pipelineId } = await world.add('pipelines', { project_id: world.fixture.projectId, name: 'wide' })
  const steps = 40
  await world.query(
    `insert into pipeline_steps (organization_id, pipeline_id, name) select $1, $2, 'S' || n from generate_series(1, $3) as n`,
    [world.fixture.organizationId, pipelineId, steps],
  )
  const { execution } = (await world.call(world.agent, 'pipelines.start', { pipelineId })) as {
    execution: { id: string }
  }
  const claims = await Promise.all(
    Array.from({ length: 2 * steps }, () =>
      world.call(world.agent, 'pipelines.claim', { agentId: world.fixture.agentId }),
    ),
  )
  const taken = claims.flatMap((claim) => {
    const { step } = claim as { readonly step: { readonly id: string } | null }
    return step === null ? [] : [step.id]
  })
  expect(taken).toHaveLength(steps)
  expect(new Set(taken).size).toBe(steps)
  await Promise.all(
    taken.map((stepExecutionId) =>
      world.call(world.agent, 'pipelines.finish', { stepExecutionId, status: 'completed' }),
    ),
  )
  expect(await world.read('pipeline_executions', execution.id)).toMatchObject({ status: 'completed' })
  expect(await world.query('select type from events where subject_id = $1', [execution.id])).toEqual([
    { type: 'pipeline.completed' },
  ])
})
