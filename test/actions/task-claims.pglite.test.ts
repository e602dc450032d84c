import { describe, expect, test } from 'vitest'
import type { SqlRow } from '../migrations/rows.ts'
import { useClaims, type TaskClaim as Claim } from './claims-world.ts'
import { newId } from './world.ts'

const on = useClaims()
const { claim, claimAsSecond, claimedTitle, sweep, taskOf } = on

const expire = (id: string) =>
  on.world.query(`update tasks set lease_expires_at = now() - interval '1 second' where id = $1`, [id])
const runsOf = (id: string) =>
  on.world.query(
    'select attempt, status, finished_at is not null as finished from task_runs where task_id = $1 order by attempt',
    [id],
  )

describe('tasks.claim', () => {
  test('takes the most important, then the oldest', async () => {
    await on.world.addTask({ title: 'new', created_at: '2026-03-01T00:00:00Z' })
    await on.world.addTask({ title: 'old', created_at: '2026-01-01T00:00:00Z' })
    await on.world.addTask({ title: 'high', priority: 'high', created_at: '2026-05-01T00:00:00Z' })
    expect([await claimedTitle(), await claimedTitle(), await claimedTitle(), await claimedTitle()]).toEqual([
      'high',
      'old',
      'new',
      undefined,
    ])
  })

  test('gives a lease and a run', async () => {
    await on.world.addTask()
    const claimed = await claim({ leaseSeconds: 60 })
    expect(claimed.task).toMatchObject({
      status: 'in_progress',
      attemptCount: 1,
      assignedAgentId: on.world.fixture.agentId,
    })
    expect(await on.world.read('task_runs', claimed.runId ?? '')).toMatchObject({
      status: 'running',
      attempt: 1,
      agent_id: on.world.fixture.agentId,
      task_id: claimed.task?.id,
    })
    const [lease] = await on.world.query(
      'select extract(epoch from lease_expires_at - now())::float8 as seconds from tasks where id = $1',
      [claimed.task?.id],
    )
    expect(lease?.['seconds']).toBeGreaterThan(0)
    expect(lease?.['seconds']).toBeLessThanOrEqual(60)
  })

  test('waits for all that a task depends on', async () => {
    const last = await on.world.addTask({ title: 'last', priority: 'critical' })
    for (const title of ['first', 'second']) {
      const { id } = await on.world.addTask({ title })
      await on.world.add('task_dependencies', {
        project_id: on.world.fixture.projectId,
        task_id: last.id,
        depends_on_task_id: id,
      })
    }
    for (const expected of ['first', 'second']) {
      const { task } = await claim()
      expect(task?.title).toBe(expected)
      await on.world.query(`update tasks set status = 'completed' where id = $1`, [task?.id])
    }
    expect(await claimedTitle()).toBe('last')
  })

  test.each([
    ['has its time still to come', { run_after: '2099-01-01T00:00:00Z' }],
    ['is for another kind of agent', { assigned_agent_type: 'devops' }],
    ['is blocked', { status: 'blocked' }],
    ['is deleted', { deleted_at: '2026-01-01T00:00:00Z' }],
  ])('passes over a task that %s', async (_, values) => {
    await on.world.addTask(values)
    expect(await claim()).toEqual({ task: null, runId: null })
  })

  test('waits for the macro steps before that of a task, until they are finished, or have begun where that is enough', async () => {
    const project_id = on.world.fixture.projectId
    const phase = await on.world.add('phases', { project_id, title: 'Phase' })
    const step = (title: string) => on.world.add('macro_steps', { project_id, phase_id: phase.id, title })
    const [first, beside, last] = [await step('first'), await step('beside'), await step('last')]
    const { id } = await on.world.addTask({ macro_step_id: last.id })
    const after = (values: SqlRow) =>
      on.world.add('macro_step_dependencies', { project_id, macro_step_id: last.id, ...values })
    await after({ depends_on_id: first.id })
    await after({ depends_on_id: beside.id, kind: 'start_to_start' })
    const set = (which: SqlRow, status: string) =>
      on.world.query('update macro_steps set status = $2 where id = $1', [which['id'], status])
    expect((await claim()).task).toBeNull()
    await set(first, 'in_progress')
    await set(beside, 'in_progress')
    expect((await claim()).task).toBeNull()
    await set(first, 'skipped')
    await set(beside, 'ready')
    expect((await claim()).task).toBeNull()
    await set(beside, 'in_progress')
    expect((await claim()).task).toMatchObject({ id })
  })

  test.each(['paused', 'cancelled', 'archived'])('passes over tasks of a project that is %s', async (status) => {
    const { id } = await on.world.add('projects', { name: status, slug: `p-${newId()}`, status })
    const task = await on.world.addTask({ project_id: id })
    expect((await claim()).task).toBeNull()
    expect(await on.world.query('select id from v_ready_tasks where id = $1', [task.id])).toEqual([])
    await on.world.query(`update projects set status = 'active' where id = $1`, [id])
    expect((await claim()).task).toMatchObject({ id: task.id })
  })

  test('sees only projects that the caller may work in', async () => {
    const { id } = await on.world.add('projects', { name: 'Private', slug: `p-${newId()}`, visibility: 'private' })
    await on.world.addTask({ project_id: id })
    expect(await claim()).toEqual({ task: null, runId: null })
    await expect(claim({ projectId: id })).rejects.toMatchObject({ code: 'forbidden' })
  })

  test('is for the agent, its owner and admins', async () => {
    await on.world.addTask()
    const member = await on.world.device('user', on.world.fixture.memberId)
    const input = { agentId: on.world.fixture.agentId }
    await expect(on.world.call(member, 'tasks.claim', input)).rejects.toMatchObject({ code: 'forbidden' })
    expect(await on.world.call(on.world.owner, 'tasks.claim', input)).toMatchObject({ task: { status: 'in_progress' } })
  })
})

describe('a lease', () => {
  test('that runs out gives the task back, until no attempt is left', async () => {
    const { id } = await on.world.addTask({ max_attempts: 2 })
    for (const [take, status] of [
      [claim, 'pending'],
      [claimAsSecond, 'failed'],
    ] as const) {
      expect((await take()).task).toMatchObject({ id })
      await expire(id)
      await sweep()
      expect(await on.world.read('tasks', id)).toMatchObject({
        status,
        lease_expires_at: null,
        claimed_by_instance_id: null,
      })
    }
    expect(await runsOf(id)).toEqual([
      { attempt: 1, status: 'timed_out', finished: true },
      { attempt: 2, status: 'timed_out', finished: true },
    ])
  })

  test('that runs out leaves the state of its project to be taken up again, and one that is given back does not', async () => {
    const { id } = await on.world.addTask()
    const { id: state } = await on.world.add('project_states', {
      project_id: on.world.fixture.projectId,
      current_task_id: id,
    })
    await claim()
    await on.world.call(on.world.agent, 'tasks.release', { taskId: id })
    expect(await on.world.read('project_states', state)).toMatchObject({ status: 'active' })
    await claim()
    await expire(id)
    await sweep()
    expect(await on.world.read('project_states', state)).toMatchObject({ status: 'recovering', current_task_id: id })
  })

  test('is renewed by its holder, and by nobody once it is over', async () => {
    await on.world.addTask()
    const { task } = await claim({ leaseSeconds: 5 })
    const taskId = task?.id ?? ''
    const before = await on.world.read('tasks', taskId)
    const renewed = await on.world.call(on.world.agent, 'tasks.renew', { taskId, leaseSeconds: 600 })
    const after = await on.world.read('tasks', taskId)
    expect(renewed).toEqual({ leaseExpiresAt: (after['lease_expires_at'] as Date).toISOString() })
    expect(Number(after['lease_expires_at'])).toBeGreaterThan(Number(before['lease_expires_at']))
    await expire(taskId)
    await expect(on.world.call(on.world.agent, 'tasks.renew', { taskId })).rejects.toMatchObject({ code: 'lease_lost' })
  })

  test.each(['pending', 'blocked'])('that ends because its task is set to %s costs no attempt', async (status) => {
    const { id } = await on.world.addTask({ max_attempts: 1 })
    for (let round = 0; round < 2; round++) {
      const claimed = await claim()
      expect(claimed.task).toMatchObject({ id, attemptCount: 1 })
      for (const next of [status, 'pending'])
        await on.world.query('update tasks set status = $2 where id = $1', [id, next])
      expect(await taskOf(claimed)).toMatchObject({ status: 'pending', attempt_count: 0 })
    }
  })

  test('is not longer than its attempt may take, however often it is renewed', async () => {
    const { id } = await on.world.addTask({ timeout_seconds: 60, max_attempts: 2 })
    const overrun = async () =>
      (
        await on.world.query(
          `select extract(epoch from lease_expires_at - (select max(started_at) from task_runs where task_id = t.id))::float8 as seconds from tasks t where id = $1`,
          [id],
        )
      )[0]?.['seconds']
    const claimed = await claim({ leaseSeconds: 600 })
    expect(await overrun()).toBeCloseTo(60, 0)
    await on.world.query(`update task_runs set started_at = started_at - interval '30 seconds' where id = $1`, [
      claimed.runId,
    ])
    await on.world.call(on.world.agent, 'tasks.renew', { taskId: String(id), leaseSeconds: 600 })
    expect(await overrun()).toBe(60)
    await on.world.query(`update task_runs set started_at = started_at - interval '31 seconds' where id = $1`, [
      claimed.runId,
    ])
    await on.world.call(on.world.agent, 'tasks.renew', { taskId: String(id), leaseSeconds: 600 })
    await sweep()
    expect(await taskOf(claimed)).toMatchObject({ status: 'pending', attempt_count: 1 })
    // The next attempt has its own time.
    await claim({ leaseSeconds: 600 })
    expect(await overrun()).toBeCloseTo(60, 0)
  })

  test('that had run out costs its attempt, whatever its task is set to then', async () => {
    const { id } = await on.world.addTask({ max_attempts: 2 })
    await claim()
    await expire(id)
    await on.world.query(`update tasks set status = 'blocked' where id = $1`, [id])
    await on.world.query(`update tasks set status = 'pending' where id = $1`, [id])
    expect((await claim()).task).toMatchObject({ id, attemptCount: 2 })
  })

  test('that another process of the same agent has by now is neither renewed nor released by the run before', async () => {
    const { id } = await on.world.addTask()
    const stale = await claim()
    await expire(id)
    await sweep()
    const current = await claim()
    for (const action of ['tasks.renew', 'tasks.release'])
      await expect(on.world.call(on.world.agent, action, { taskId: id, runId: stale.runId })).rejects.toMatchObject({
        code: 'lease_lost',
      })
    await on.world.call(on.world.agent, 'tasks.renew', { taskId: id, runId: current.runId })
    await on.world.call(on.world.agent, 'tasks.release', { taskId: id, runId: current.runId })
    expect(await on.world.read('tasks', id)).toMatchObject({ status: 'pending' })
  })

  test('that is released costs no attempt', async () => {
    await on.world.addTask()
    const claimed = await claim()
    await on.world.call(on.world.agent, 'tasks.release', { taskId: claimed.task?.id ?? '' })
    expect(await taskOf(claimed)).toMatchObject({ status: 'pending', attempt_count: 0, lease_expires_at: null })
    expect(await runsOf(claimed.task?.id ?? '')).toEqual([{ attempt: 1, status: 'cancelled', finished: true }])
  })

  test('ends with the work, and the run says how it went', async () => {
    await on.world.addTask()
    const claimed = await claim()
    await on.world.query(`update tasks set status = 'completed', result = '{"ok":true}' where id = $1`, [
      claimed.task?.id,
    ])
    expect(await taskOf(claimed)).toMatchObject({ lease_expires_at: null, claimed_by_instance_id: null })
    expect(await on.world.read('task_runs', claimed.runId ?? '')).toMatchObject({
      status: 'completed',
      result: { ok: true },
    })
  })
})

describe('a run that fails', () => {
  const fail = (claimed: Claim, recoverable = true) =>
    on.world.query(`update task_runs set status = 'failed', is_recoverable = $2 where id = $1`, [
      claimed.runId,
      recoverable,
    ])
  /** From when its run failed, which changed the task, to when it is tried again. */
  const pause = async (claimed: Claim): Promise<unknown> =>
    (
      await on.world.query(
        'select round(extract(epoch from next_retry_at - updated_at))::int as seconds from tasks where id = $1',
        [claimed.task?.id],
      )
    )[0]?.['seconds']

  test('is tried again after the pause of its policy', async () => {
    const { id } = await on.world.addTask({
      max_attempts: 5,
      retry_policy: { strategy: 'exponential', delaySeconds: 100, maxDelaySeconds: 300 },
    })
    for (const expected of [100, 200, 300, 300]) {
      const claimed = await claim()
      await fail(claimed)
      expect(await taskOf(claimed)).toMatchObject({ status: 'pending' })
      expect(await pause(claimed)).toBe(expected)
      expect(await claim()).toEqual({ task: null, runId: null })
      await on.world.query('update tasks set next_retry_at = now() where id = $1', [id])
    }
  })

  test.each([
    [{ delaySeconds: '30s', jitter: 'perhaps' }, 0],
    [{ delaySeconds: 1e300, maxDelaySeconds: 1e300, strategy: 'exponential', jitter: false }, 86_400],
    [{ delaySeconds: 60, maxDelaySeconds: -1 }, 0],
    ['30s', 0],
    [[1], 0],
  ])('is tried again whatever its policy holds: %j', async (policy, seconds) => {
    await on.world.addTask({ retry_policy: JSON.stringify(policy) })
    const claimed = await claim()
    await fail(claimed)
    expect(await taskOf(claimed)).toMatchObject({ status: 'pending' })
    expect((await pause(claimed)) ?? 0).toBe(seconds)
  })

  test('and cannot be mended fails its task at once', async () => {
    await on.world.addTask()
    const claimed = await claim()
    await fail(claimed, false)
    expect(await taskOf(claimed)).toMatchObject({ status: 'failed', next_retry_at: null })
  })

  test('leaves a task that may be begun anew, with all attempts', async () => {
    const { id } = await on.world.addTask({ max_attempts: 1 })
    await fail(await claim())
    expect(await on.world.read('tasks', id)).toMatchObject({ status: 'failed' })
    await on.world.query(`update tasks set status = 'pending' where id = $1`, [id])
    expect((await claim()).task).toMatchObject({ id, attemptCount: 1 })
  })
})

describe('a task that is pending', () => {
  test('after its last attempt was used up while it was blocked can be claimed once more', async () => {
    const { id } = await on.world.addTask({ max_attempts: 1 })
    await claim()
    await expire(id)
    for (const status of ['blocked', 'pending'])
      await on.world.query('update tasks set status = $2 where id = $1', [id, status])
    expect((await claim()).task).toMatchObject({ id, attemptCount: 1 })
    await expire(id)
    await sweep()
    expect(await on.world.read('tasks', id)).toMatchObject({ status: 'failed' })
  })

  test('can be claimed also when it is given fewer attempts than it had', async () => {
    const { id } = await on.world.addTask({ max_attempts: 3 })
    for (let round = 0; round < 2; round++) {
      await claim()
      await expire(id)
      await sweep()
    }
    await on.world.query('update tasks set max_attempts = 1 where id = $1', [id])
    expect((await claim()).task).toMatchObject({ id, attemptCount: 1 })
  })
})

describe('a task that goes back to pending', () => {
  const ways: Readonly<Record<string, (claimed: Claim) => Promise<unknown>>> = {
    'is released': (claimed) => on.world.call(on.world.agent, 'tasks.release', { taskId: claimed.task?.id ?? '' }),
    'lost its lease': async (claimed) => {
      await expire(claimed.task?.id ?? '')
      await sweep()
    },
    'had a run that failed': (claimed) =>
      on.world.query(`update task_runs set status = 'failed' where id = $1`, [claimed.runId]),
    'is opened again after it was done': async (claimed) => {
      for (const status of ['completed', 'pending'])
        await on.world.query('update tasks set status = $2 where id = $1', [claimed.task?.id, status])
    },
  }

  test.each(Object.entries(ways))(
    'because it %s is any agent’s again when its claim had assigned it',
    async (_, giveBack) => {
      const { id } = await on.world.addTask()
      await giveBack(await claim())
      expect(await on.world.read('tasks', id)).toMatchObject({ status: 'pending', assigned_agent_id: null })
      expect((await claimAsSecond()).task).toMatchObject({ id, assignedAgentId: on.world.secondId })
    },
  )

  test.each(Object.entries(ways))('because it %s stays with the agent that somebody assigned', async (_, giveBack) => {
    const { id } = await on.world.addTask({ assigned_agent_id: on.world.fixture.agentId })
    await giveBack(await claim())
    expect(await claimAsSecond()).toEqual({ task: null, runId: null })
    expect((await claim()).task).toMatchObject({ id })
  })

  test('stays with the agent that somebody assigned while another one held it', async () => {
    const { id } = await on.world.addTask()
    const claimed = await claim()
    await on.world.query('update tasks set assigned_agent_id = $2 where id = $1', [id, on.world.secondId])
    await ways['had a run that failed']?.(claimed)
    expect(await claim()).toEqual({ task: null, runId: null })
    expect((await claimAsSecond()).task).toMatchObject({ id })
  })
})
