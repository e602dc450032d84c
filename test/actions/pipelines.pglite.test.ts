import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../../protocol/rows/row.ts'
import type { SqlRow } from '../migrations/rows.ts'
import { createActionWorld, newId, type ActionWorld, type Claim, type Execution } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld()
})
afterAll(() => world.close())

const sha256 = 'ab'.repeat(32)

/** A pipeline with these steps; a step may name those it waits for. */
async function pipeline(
  steps: readonly (SqlRow & { readonly name: string; readonly after?: readonly string[] })[],
  more: SqlRow = {},
): Promise<string> {
  const { id } = await world.add('pipelines', {
    project_id: world.fixture.projectId,
    name: newId(),
    environment: '{"CI":"1"}',
    ...more,
  })
  const ids = new Map<string, string>()
  for (const { after = [], ...step } of steps) {
    const depends_on = after.map((name) => ids.get(name))
    ids.set(step.name, (await world.add('pipeline_steps', { pipeline_id: id, depends_on, ...step })).id)
  }
  return id
}
const gate = (pipelineId: string, values: SqlRow = {}) =>
  world.add('quality_gates', {
    project_id: world.fixture.projectId,
    pipeline_id: pipelineId,
    name: 'coverage',
    metric_name: 'coverage',
    operator: 'gte',
    threshold: 80,
    ...values,
  })
async function start(pipelineId: string): Promise<Execution> {
  const { execution } = (await world.call(world.agent, 'pipelines.start', {
    pipelineId,
    branch: 'main',
  })) as unknown as { execution: Execution }
  return execution
}
const claim = async (more: Readonly<Record<string, Json>> = {}) =>
  (await world.call(world.agent, 'pipelines.claim', { agentId: world.fixture.agentId, ...more })) as unknown as Claim
async function finish(claimed: Claim, report: Readonly<Record<string, Json>> = {}): Promise<Execution> {
  const answer = await world.call(world.agent, 'pipelines.finish', {
    stepExecutionId: claimed.step?.id ?? '',
    status: 'completed',
    ...report,
  })
  return (answer as unknown as { execution: Execution }).execution
}
const steps = (executionId: string) =>
  world.query(
    'select step_name as name, attempt, status from pipeline_step_executions where execution_id = $1 order by position, step_name, attempt',
    [executionId],
  )
const claimedName = async () => (await claim()).step?.stepName
const metrics = (coverage: number) => ({ outputs: { metrics: { coverage } } })

test('a step is claimed by an agent that may begin work, and counts among what it works on', async () => {
  await start(
    await pipeline([
      { name: 'a', position: 1 },
      { name: 'b', position: 1 },
    ]),
  )
  const set = (column: string, value: unknown) =>
    world.query(`update agents set ${column} = $2 where id = $1`, [world.fixture.agentId, value])
  const refused = (message: string) =>
    expect(claim()).rejects.toMatchObject({ code: 'agent_unavailable', message: expect.stringContaining(message) })
  await set('status', 'maintenance')
  await refused('is under maintenance')
  await set('status', 'online')
  await set('dna', { runtime: { concurrency: 1 } })
  const first = await claim()
  await refused('holds 1 tasks and steps')
  await finish(first)
  await finish(await claim())
  await set('dna', {})
})

test.each(['cancelled', 'archived'])('runs of a project that is %s end, and none begins', async (status) => {
  const project = await world.add('projects', { name: status, slug: newId() })
  const id = await pipeline([{ name: 'a', position: 1 }], { project_id: project.id })
  const [running, queued] = [await start(id), await start(id)]
  const claimed = await claim({ projectId: String(project.id) })
  expect(claimed.step).not.toBeNull()
  const workflow = await world.add('workflows', { project_id: project.id, name: newId(), definition: '{"steps":[]}' })
  const waiting = await world.add('workflow_runs', {
    ...{ workflow_id: workflow.id, project_id: project.id, definition_revision: 1, status: 'queued' },
  })
  await world.query('update projects set status = $2 where id = $1', [project.id, status])
  for (const { id: run } of [running, queued])
    expect(await world.read('pipeline_executions', run)).toMatchObject({
      status: 'cancelled',
      error_message: `The project was ${status}.`,
    })
  expect(await world.read('workflow_runs', String(waiting.id))).toMatchObject({ status: 'cancelled' })
  await expect(finish(claimed)).rejects.toMatchObject({ code: 'lease_lost' })
  await expect(start(id)).rejects.toMatchObject({ code: 'forbidden' })
})

test('a step is renewed and ended by the process that claimed it alone, when it says which it is', async () => {
  const instance = async () =>
    String((await world.add('agent_instances', { agent_id: world.fixture.agentId, status: 'idle' })).id)
  const [mine, other] = [await instance(), await instance()]
  await start(await pipeline([{ name: 'a', position: 1 }]))
  const claimed = await claim({ instanceId: mine })
  const stepExecutionId = claimed.step?.id ?? ''
  const lost = { code: 'lease_lost', message: expect.stringContaining(other) }
  const renew = (instanceId: string) => world.call(world.agent, 'pipelines.renew', { stepExecutionId, instanceId })
  await expect(renew(other)).rejects.toMatchObject(lost)
  await renew(mine)
  await expect(finish(claimed, { instanceId: other })).rejects.toMatchObject(lost)
  expect(await finish(claimed, { instanceId: mine })).toMatchObject({ status: 'completed' })
})

test('steps of a project that is paused wait until it is active', async () => {
  const project = await world.add('projects', { name: 'Paused', slug: newId() })
  await start(await pipeline([{ name: 'a', position: 1 }], { project_id: project.id }))
  const set = (status: string) => world.query('update projects set status = $2 where id = $1', [project.id, status])
  await set('paused')
  expect(await claim({ projectId: String(project.id) })).toEqual({ step: null, work: null })
  await set('active')
  await finish(await claim({ projectId: String(project.id) }))
})

describe('a run of a pipeline', () => {
  test('goes through its steps by position, hands on what they gave, and ends with all outputs', async () => {
    const id = await pipeline([
      { name: 'lint', position: 1, kind: 'test' },
      { name: 'build', position: 1, configuration: '{"run":"make"}' },
      { name: 'deploy', position: 2, kind: 'deploy' },
    ])
    const execution = await start(id)
    expect(execution).toMatchObject({
      status: 'queued',
      runNumber: 1,
      branch: 'main',
      triggeredByAgentId: world.fixture.agentId,
    })
    const [first, second] = [await claim(), await claim()]
    expect(new Set([first.step?.stepName, second.step?.stepName])).toEqual(new Set(['lint', 'build']))
    const build = first.step?.stepName === 'build' ? first : second
    expect(build.work).toMatchObject({
      kind: 'command',
      configuration: { run: 'make' },
      environment: { CI: '1' },
      branch: 'main',
      runNumber: 1,
    })
    expect(await claimedName()).toBeUndefined()
    await finish(first, { outputs: { digest: 'x' } })
    expect(await claimedName()).toBeUndefined()
    await finish(second)
    const deploy = await claim()
    expect(deploy).toMatchObject({
      step: { stepName: 'deploy' },
      work: { outputs: { [first.step?.stepName ?? '']: { digest: 'x' } } },
    })
    expect(await finish(deploy, { exitCode: 0, logTail: 'done' })).toMatchObject({
      status: 'completed',
      gateStatus: 'none',
      outputs: { [first.step?.stepName ?? '']: { digest: 'x' } },
      finishedAt: expect.any(String),
    })
    expect(await start(id)).toMatchObject({ runNumber: 2 })
    await world.query(
      `select sync.end_pipeline(id, 'cancelled', null) from pipeline_executions where pipeline_id = $1 and status = 'queued'`,
      [id],
    )
  })

  test('follows the graph of its steps', async () => {
    const execution = await start(
      await pipeline([
        { name: 'a' },
        { name: 'b', after: ['a'] },
        { name: 'c', after: ['a'] },
        { name: 'd', after: ['b', 'c'] },
      ]),
    )
    const a = await claim()
    expect(await claimedName()).toBeUndefined()
    await finish(a)
    const [b, c] = [await claim(), await claim()]
    await finish(b)
    expect(await claimedName()).toBeUndefined()
    await finish(c)
    expect(await finish(await claim())).toMatchObject({ id: execution.id, status: 'completed' })
  })

  test('records artifacts with their checksums', async () => {
    const execution = await start(await pipeline([{ name: 'build' }]))
    const artifact = { name: 'app.tgz', kind: 'package', storageUri: 's3://b/app.tgz', sizeBytes: 12 }
    const claimed = await claim()
    await expect(finish(claimed, { artifacts: [{ ...artifact, sha256: 'short' }] })).rejects.toMatchObject({
      code: 'bad_message',
    })
    await finish(claimed, { artifacts: [{ ...artifact, sha256 }] })
    const [row] = await world.query(
      `select name, size_bytes::int as size, encode(sha256, 'hex') as sha256 from pipeline_artifacts where execution_id = $1`,
      [execution.id],
    )
    expect(row).toEqual({ name: 'app.tgz', size: 12, sha256 })
  })

  test('tries a step again as often as it allows, and then fails', async () => {
    const { id } = await start(
      await pipeline([
        { name: 'flaky', retry_limit: 1 },
        { name: 'after', position: 1 },
      ]),
    )
    expect(await finish(await claim(), { status: 'failed', error: 'boom' })).toMatchObject({ status: 'running' })
    expect(await finish(await claim(), { status: 'failed', error: 'boom' })).toMatchObject({
      status: 'failed',
      errorMessage: expect.stringContaining('boom'),
    })
    expect(await steps(id)).toEqual([
      { name: 'flaky', attempt: 1, status: 'failed' },
      { name: 'flaky', attempt: 2, status: 'failed' },
      { name: 'after', attempt: 1, status: 'cancelled' },
    ])
    expect(await world.query('select type from events where subject_id = $1', [id])).toEqual([
      { type: 'pipeline.failed' },
    ])
  })

  test('goes on past a step that may fail', async () => {
    await start(
      await pipeline([
        { name: 'optional', continue_on_error: true },
        { name: 'after', position: 1 },
      ]),
    )
    await finish(await claim(), { status: 'failed' })
    expect(await finish(await claim())).toMatchObject({ status: 'completed' })
  })

  test('waits for approval by an admin', async () => {
    const { id } = await start(
      await pipeline([
        { name: 'ask', kind: 'approval' },
        { name: 'ship', position: 1 },
      ]),
    )
    expect(await claimedName()).toBeUndefined()
    const [ask] = await world.query(
      `select id from pipeline_step_executions where execution_id = $1 and step_name = 'ask'`,
      [id],
    )
    const answer = { stepExecutionId: String(ask?.['id']), approved: true }
    await expect(world.call(world.agent, 'pipelines.approve', answer)).rejects.toMatchObject({ code: 'forbidden' })
    expect(
      await world.query('select user_id, kind, body from notifications where subject_id = $1 order by user_id', [id]),
    ).toContainEqual({ user_id: world.fixture.ownerId, kind: 'pipeline.approval_waiting', body: 'ask' })
    await world.call(world.owner, 'pipelines.approve', answer)
    expect(await finish(await claim())).toMatchObject({ status: 'completed' })
  })

  test('publishes what a step is to tell, and that it has ended', async () => {
    const { id } = await start(
      await pipeline([
        { name: 'tell', kind: 'notify', configuration: '{"text":"hello"}' },
        { name: 'a', position: 1 },
      ]),
    )
    await finish(await claim())
    expect(
      await world.query(
        `select type, event_data#>>'{configuration,text}' as text from events where subject_id = $1 order by seq`,
        [id],
      ),
    ).toEqual([
      { type: 'pipeline.notice', text: 'hello' },
      { type: 'pipeline.completed', text: null },
    ])
  })

  test('that takes longer than its pipeline allows is ended', async () => {
    const { id } = await start(await pipeline([{ name: 'a' }]))
    await world.query(`update pipeline_executions set queued_at = now() - interval '2 hours' where id = $1`, [id])
    await world.query('select sync.sweep_pipelines()')
    expect(await world.read('pipeline_executions', id)).toMatchObject({ status: 'timed_out' })
    expect(await steps(id)).toMatchObject([{ status: 'cancelled' }])
  })

  test('is not ended for the time that it waits for people', async () => {
    const sweep = () => world.query('select sync.sweep_pipelines()')
    /** As if everything so far had been two hours earlier. */
    const later = async (id: string): Promise<void> => {
      const ago = `- interval '2 hours'`
      await world.query(
        `update pipeline_executions set queued_at = queued_at ${ago}, finished_at = finished_at ${ago} where id = $1`,
        [id],
      )
      await world.query(`update sync.pipeline_waits set since = since ${ago} where execution_id = $1`, [id])
    }
    const statusOf = async (id: string) => (await world.read('pipeline_executions', id))['status']

    const gated = await pipeline([
      { name: 'test' },
      { name: 'check', kind: 'quality_gate', position: 1 },
      { name: 'ship', position: 2 },
    ])
    await gate(gated)
    const { id: run } = await start(gated)
    expect(await finish(await claim(), metrics(10))).toMatchObject({ status: 'failed' })
    await later(run)
    await world.call(world.owner, 'pipelines.waive', { executionId: run, gate: 'coverage', reason: 'known' })
    await sweep()
    expect(await statusOf(run)).toBe('running')
    await later(run)
    await sweep()
    expect(await statusOf(run)).toBe('timed_out')

    const { id: asked } = await start(
      await pipeline([
        { name: 'ask', kind: 'approval' },
        { name: 'ship', position: 1 },
      ]),
    )
    await later(asked)
    await sweep()
    expect(await statusOf(asked)).toBe('queued')
    const [ask] = await world.query(
      `select id from pipeline_step_executions where execution_id = $1 and step_name = 'ask'`,
      [asked],
    )
    await world.call(world.owner, 'pipelines.approve', { stepExecutionId: String(ask?.['id']), approved: true })
    await sweep()
    expect(await statusOf(asked)).toBe('queued')
    await later(asked)
    await sweep()
    expect(await statusOf(asked)).toBe('timed_out')
  })

  test('that has ended stays as it ended, whoever ends it again', async () => {
    const { id } = await start(await pipeline([{ name: 'a' }]))
    expect(await finish(await claim())).toMatchObject({ status: 'completed' })
    // A cancel that had read the run before it ended gets as far as this.
    await world.query(`select sync.end_pipeline($1, 'cancelled', 'too late')`, [id])
    expect(await world.read('pipeline_executions', id)).toMatchObject({ status: 'completed', error_message: null })
    expect(await world.query('select type from events where subject_id = $1', [id])).toEqual([
      { type: 'pipeline.completed' },
    ])
  })

  test('is cancelled, and leaves its workers without a lease', async () => {
    const { id } = await start(await pipeline([{ name: 'long' }]))
    const claimed = await claim()
    await world.call(world.owner, 'pipelines.cancel', { executionId: id })
    await expect(finish(claimed)).rejects.toMatchObject({ code: 'lease_lost' })
    expect(await world.read('pipeline_executions', id)).toMatchObject({ status: 'cancelled' })
  })

  test('refuses to start for a viewer', async () => {
    const pipelineId = await pipeline([{ name: 'a' }])
    await expect(world.call(world.viewer, 'pipelines.start', { pipelineId })).rejects.toMatchObject({
      code: 'forbidden',
    })
  })
})

describe('a step', () => {
  test('whose lease runs out is tried again, and takes no late word', async () => {
    const { id } = await start(await pipeline([{ name: 'slow', retry_limit: 1 }]))
    const lost = await claim({ leaseSeconds: 5 })
    await world.query(`update sync.step_leases set expires_at = now() - interval '1 second'`)
    await world.query('select sync.sweep_pipelines()')
    expect(await steps(id)).toMatchObject([{ status: 'timed_out' }, { status: 'queued', attempt: 2 }])
    await expect(finish(lost)).rejects.toMatchObject({ code: 'lease_lost' })
    expect(await finish(await claim())).toMatchObject({ status: 'completed' })
  })

  test('is held no longer than its own time, whatever is asked', async () => {
    await start(await pipeline([{ name: 'short', timeout_seconds: 30 }]))
    const claimed = await claim({ leaseSeconds: 600 })
    await world.call(world.agent, 'pipelines.renew', { stepExecutionId: claimed.step?.id ?? '', leaseSeconds: 600 })
    const [lease] = await world.query(
      `select expires_at <= now() + interval '31 seconds' as bounded from sync.step_leases where step_execution_id = $1`,
      [claimed.step?.id],
    )
    expect(lease).toEqual({ bounded: true })
    await finish(claimed)
  })
})

describe('a quality gate', () => {
  const gated = () =>
    pipeline([
      { name: 'test', kind: 'test' },
      { name: 'gate', kind: 'quality_gate', position: 1 },
      { name: 'deploy', kind: 'deploy', position: 2 },
    ])
  const results = (id: string) =>
    world.query(
      `select gate_name as gate, actual_value::float8 as value, passed, waived_by_user_id as waived, details#>>'{waiver,reason}' as reason
      from quality_gate_results where execution_id = $1 order by 1`,
      [id],
    )

  test('that fails and blocks stops the run, and nothing later is done', async () => {
    const pipelineId = await gated()
    await gate(pipelineId)
    const { id } = await start(pipelineId)
    expect(await finish(await claim(), metrics(79.5))).toMatchObject({
      status: 'failed',
      gateStatus: 'failed',
      errorMessage: 'Blocked by coverage.',
    })
    expect(await steps(id)).toMatchObject([{ status: 'completed' }, { status: 'failed' }, { status: 'cancelled' }])
    expect(await claimedName()).toBeUndefined()
    expect(await results(id)).toEqual([{ gate: 'coverage', value: 79.5, passed: false, waived: null, reason: null }])
  })

  test('that is waived by an admin is recorded as that, and the run goes on', async () => {
    const pipelineId = await gated()
    await gate(pipelineId)
    await gate(pipelineId, { name: 'speed', metric_name: 'ms', operator: 'lt', threshold: 100 })
    const { id } = await start(pipelineId)
    await finish(await claim(), metrics(10))
    const waive = (gateName: string, who = world.owner) =>
      world.call(who, 'pipelines.waive', { executionId: id, gate: gateName, reason: 'known' })
    await expect(waive('coverage', await world.device('user', world.fixture.memberId))).rejects.toMatchObject({
      code: 'forbidden',
    })
    await expect(waive('none')).rejects.toMatchObject({ code: 'not_found' })
    // A metric that nobody gave passes nothing.
    expect(await waive('coverage')).toMatchObject({ execution: { status: 'failed', gateStatus: 'failed' } })
    expect(await waive('speed')).toMatchObject({ execution: { status: 'running', gateStatus: 'waived' } })
    expect(await results(id)).toEqual([
      { gate: 'coverage', value: 10, passed: false, waived: world.fixture.ownerId, reason: 'known' },
      { gate: 'speed', value: null, passed: false, waived: world.fixture.ownerId, reason: 'known' },
    ])
    expect(await finish(await claim())).toMatchObject({ status: 'completed', gateStatus: 'waived' })
  })

  test('that passes, or does not block, lets the run go on', async () => {
    const pipelineId = await gated()
    await gate(pipelineId)
    await gate(pipelineId, { name: 'hint', threshold: 99, is_blocking: false })
    await start(pipelineId)
    await finish(await claim(), metrics(80))
    expect(await finish(await claim())).toMatchObject({ status: 'completed', gateStatus: 'passed' })
  })

  test('compares a metric that is larger than its result can hold, whatever the step has printed', async () => {
    const pipelineId = await gated()
    await gate(pipelineId)
    const { id } = await start(pipelineId)
    expect(await finish(await claim(), { ...metrics(1e300), logTail: 'a\u0000b' })).toMatchObject({ status: 'running' })
    const logTail = 'select log_tail from pipeline_step_executions where execution_id = $1 and log_tail is not null'
    expect(await world.query(logTail, [id])).toEqual([{ log_tail: 'a\ufffdb' }])
    expect(await finish(await claim())).toMatchObject({ status: 'completed', gateStatus: 'passed' })
    expect(await results(id)).toMatchObject([{ gate: 'coverage', value: 99_999_999_999.9999, passed: true }])
  })

  test('is asked at the end when no step asks it', async () => {
    const pipelineId = await pipeline([{ name: 'test' }])
    await gate(pipelineId)
    await start(pipelineId)
    expect(await finish(await claim(), metrics(1))).toMatchObject({ status: 'failed', gateStatus: 'failed' })
  })
})
