import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../../protocol/rows/row.ts'
import type { SqlRow } from '../migrations/rows.ts'
import { createActionWorld, newId, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld()
})
afterAll(() => world.close())

describe('a workflow', () => {
  const define = (definition: Json, values: SqlRow = {}) =>
    world.add('workflows', {
      project_id: world.fixture.projectId,
      name: newId(),
      definition: JSON.stringify(definition),
      ...values,
    })
  const steps = [
    { key: 'plan', title: 'Plan', priority: 'high' },
    { key: 'write', title: 'Write', dependsOn: ['plan'], context: { lang: 'de' } },
    { key: 'check', title: 'Check', dependsOn: ['write'] },
  ]
  const begin = async (workflowId: string) => {
    const { run } = (await world.call(world.agent, 'workflows.start', { workflowId, input: { topic: 'tides' } })) as {
      run: { id: string; status: string }
    }
    return run
  }
  const work = async (status = 'completed'): Promise<string | undefined> => {
    const { task } = (await world.call(world.agent, 'tasks.claim', { agentId: world.fixture.agentId })) as {
      task: { id: string; title: string } | null
    }
    if (task) await world.query(`update tasks set status = $2, result = '{"ok":1}' where id = $1`, [task.id, status])
    return task?.title
  }
  const runOf = (id: string) => world.read('workflow_runs', id)
  /** Leaves no task of another test to be claimed. */
  const clear = async (): Promise<void> => {
    await world.query(`update workflow_runs set status = 'cancelled' where status in ('pending', 'queued')`)
    await world.query(`update tasks set status = 'cancelled' where status in ('pending', 'in_progress')`)
  }

  test('makes a task of each step, in the order of what they wait for, and is completed by the last', async () => {
    const { id } = await define({ steps })
    const run = await begin(id)
    expect(run.status).toBe('running')
    expect([await work(), await work()]).toEqual(['Plan', 'Write'])
    expect(await runOf(run.id)).toMatchObject({ status: 'running', current_step: 'check' })
    expect(await work()).toBe('Check')
    expect(await runOf(run.id)).toMatchObject({
      status: 'completed',
      output: { plan: { ok: 1 }, write: { ok: 1 }, check: { ok: 1 } },
    })
    const [task] = await world.query(
      `select execution_context from tasks where workflow_run_id = $1 and title = 'Write'`,
      [run.id],
    )
    expect(task?.['execution_context']).toEqual({ input: { topic: 'tides' }, context: { lang: 'de' } })
  })

  test('fails with a step that fails, and the next run that waits begins', async () => {
    const { id } = await define({ steps })
    const [first, second] = [await begin(id), await begin(id)]
    expect(second.status).toBe('queued')
    await work('failed')
    expect(await runOf(first.id)).toMatchObject({ status: 'failed', error_message: 'Step plan failed.' })
    expect(
      await world.query('select distinct status from tasks where workflow_run_id = $1 order by 1', [first.id]),
    ).toEqual([{ status: 'cancelled' }, { status: 'failed' }])
    expect(await runOf(second.id)).toMatchObject({ status: 'running' })
  })

  test('ends with the last step that is left when others are deleted, and the next run that waits begins', async () => {
    await clear()
    const { id } = await define({ steps })
    const [first, second, third] = [await begin(id), await begin(id), await begin(id)]
    const remove = (run: string, title: string) =>
      world.query(`update tasks set deleted_at = now() where workflow_run_id = $1 and title = $2`, [run, title])
    expect(await work()).toBe('Plan')
    await remove(first.id, 'Write')
    expect(await runOf(first.id)).toMatchObject({ status: 'running', current_step: 'check' })
    await remove(first.id, 'Check')
    expect(await runOf(first.id)).toMatchObject({ status: 'completed', output: { plan: { ok: 1 } } })
    expect(await runOf(second.id)).toMatchObject({ status: 'running' })
    await world.query('delete from tasks where workflow_run_id = $1', [second.id])
    expect(await runOf(second.id)).toMatchObject({ status: 'cancelled' })
    expect(await runOf(third.id)).toMatchObject({ status: 'running' })
    await world.call(world.owner, 'workflows.cancel', { runId: third.id })
  })

  test('is cancelled with what is left of it, once', async () => {
    await clear()
    const { id } = await define({ steps })
    const [first, second] = [await begin(id), await begin(id)]
    expect(await work()).toBe('Plan')
    const cancel = (runId: string, who = world.owner) =>
      world.call(who, 'workflows.cancel', { runId, reason: 'no more' })
    await expect(cancel(first.id, world.viewer)).rejects.toMatchObject({ code: 'forbidden' })
    expect(await cancel(first.id)).toMatchObject({ run: { status: 'cancelled', errorMessage: 'no more' } })
    expect(
      await world.query('select title, status from tasks where workflow_run_id = $1 order by position', [first.id]),
    ).toEqual([
      { title: 'Plan', status: 'completed' },
      { title: 'Write', status: 'cancelled' },
      { title: 'Check', status: 'cancelled' },
    ])
    expect(await runOf(second.id)).toMatchObject({ status: 'running' })
    await cancel(first.id)
    await cancel(second.id)
    expect(
      await world.query(`select type from events where subject_id = any($1) order by seq`, [[first.id, second.id]]),
    ).toEqual([{ type: 'workflow.cancelled' }, { type: 'workflow.cancelled' }])
  })

  test('goes with its project', async () => {
    const { id: project_id } = await world.add('projects', { name: 'Gone', slug: newId() })
    const { id } = await define({ steps }, { project_id })
    await world.query('select sync.start_workflow($1, null, $2, null)', [id, '{}'])
    await world.query('delete from projects where id = $1', [project_id])
    expect(await world.query('select id from workflow_runs where workflow_id = $1', [id])).toEqual([])
  })

  test('whose queued run names an agent that is gone fails that run, and not the end of the first', async () => {
    await clear()
    const { id } = await define({ steps })
    const [first, broken] = [await begin(id), await begin(id)]
    const gone = { steps: [{ key: 'plan', title: 'Plan', agentId: newId() }] }
    await world.query('update workflows set definition = $2 where id = $1', [id, gone])
    await work('failed')
    expect((await runOf(first.id))['error_message']).toBe('Step plan failed.')
    expect((await runOf(broken.id))['error_message']).toContain('not there')
  })
})
