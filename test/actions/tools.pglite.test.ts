import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../../protocol/rows/row.ts'
import { createActionWorld, newId, type ActionWorld } from './world.ts'

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld()
})
afterAll(() => world.close())

interface Answer {
  readonly allowed: boolean
  readonly reason: string | null
  readonly decisionId: string
}
const check = async (input: Readonly<Record<string, Json>>, who = world.agent): Promise<Answer> =>
  (await world.call(who, 'tools.check', { agentId: world.fixture.agentId, ...input })) as unknown as Answer
const permit = (toolName: string, values: Readonly<Record<string, unknown>> = {}) =>
  world.add('agent_permissions', { agent_type: 'generic', tool_name: toolName, allowed: true, ...values })
const logged = (decisionId: string) =>
  world.query('select * from tool_audit_logs where id = $1 order by occurred_at', [decisionId])

describe('tools.check', () => {
  test('denies a tool without permission, and logs it', async () => {
    const { allowed, reason, decisionId } = await check({ toolName: 'rocket', parameters: { to: 'moon', apiKey: 'k' } })
    expect([allowed, reason]).toEqual([false, 'No permission names the tool rocket.'])
    expect(await logged(decisionId)).toEqual([
      expect.objectContaining({
        agent_id: world.fixture.agentId,
        agent_label: 'scout',
        tool_name: 'rocket',
        operation: 'use',
        allowed: false,
        denial_reason: reason,
        permission_id: null,
        parameters: { to: 'moon', apiKey: '[redacted]' },
        origin_device_id: world.agent.deviceId,
      }),
    ])
  })

  test('allows a tool with a row of its type, and logs which', async () => {
    const permission = await permit('compass')
    const { allowed, decisionId } = await check({ toolName: 'compass', projectId: world.fixture.projectId })
    expect(allowed).toBe(true)
    expect(await logged(decisionId)).toMatchObject([
      { allowed: true, permission_id: permission.id, project_id: world.fixture.projectId, denial_reason: null },
    ])
  })

  test("lets the agent's own row override its type's, and its guardrails narrow both", async () => {
    await permit('sonar', { allowed: false })
    expect(await check({ toolName: 'sonar' })).toMatchObject({ allowed: false })
    await permit('sonar', { agent_id: world.fixture.agentId })
    expect(await check({ toolName: 'sonar' })).toMatchObject({ allowed: true })
    await world.query(
      `update agents set dna = jsonb_set(dna, '{guardrails}', '{"deniedTools": ["sonar"]}') where id = $1`,
      [world.fixture.agentId],
    )
    expect(await check({ toolName: 'sonar' })).toMatchObject({ allowed: false })
  })

  test('keeps what a tool says that cannot be stored', async () => {
    const { decisionId } = await check({ toolName: 'read', parameters: { path: 'a\u0000b' } })
    await world.call(world.agent, 'tools.record', { decisionId, result: { 'k\ud800': String.raw`\u0000` + '\u0000' } })
    expect(await logged(decisionId)).toMatchObject([
      { parameters: { path: 'a\ufffdb' } },
      { result: { 'k\ufffd': String.raw`\u0000` + '\ufffd' } },
    ])
  })

  test('knows what is shipped', async () => {
    expect(await check({ toolName: 'read' })).toMatchObject({ allowed: true })
    expect(await check({ toolName: 'deploy' })).toMatchObject({ allowed: false })
  })

  test('counts what a run and a day have used up', async () => {
    const { agentId, projectId } = world.fixture
    const limits = (guardrails: Json) =>
      world.query('update agents set dna = $2 where id = $1', [agentId, JSON.stringify({ guardrails })])
    await limits({ maxTokensPerRun: 100, maxCostUsdPerDay: 5 })
    const task = await world.addTask()
    const run = await world.add('task_runs', {
      agent_id: agentId,
      task_id: task.id,
      project_id: projectId,
      status: 'running',
    })
    const use = async (tokens: number, cost: number, at = new Date()) => {
      const usage = {
        agent_id: agentId,
        task_run_id: run.id,
        model: 'm',
        input_tokens: tokens,
        output_tokens: 0,
        occurred_at: at,
      }
      const { id } = await world.add('token_usages', usage)
      // Of a model without a price.
      await world.query('update token_usages set cost_usd = $2 where id = $1', [id, cost])
    }
    const inTask = { toolName: 'read', taskId: String(task.id) }
    await use(99, 4, new Date(Date.now() - 2 * 86_400_000))
    expect(await check(inTask)).toMatchObject({ allowed: true })
    await use(1, 1)
    expect(await check(inTask)).toMatchObject({ allowed: false, reason: expect.stringContaining('maxTokensPerRun') })
    // To name no task, or one that the agent does not run, lifts no limit.
    for (const elsewhere of [{}, { taskId: String((await world.addTask()).id) }])
      expect(await check({ toolName: 'read', ...elsewhere })).toMatchObject({
        allowed: false,
        reason: expect.stringContaining('maxTokensPerRun'),
      })
    await world.query(`update task_runs set status = 'completed' where id = $1`, [run.id])
    expect(await check({ toolName: 'read' })).toMatchObject({ allowed: true })
    await use(2, 4.5)
    expect(await check({ toolName: 'read' })).toMatchObject({
      allowed: false,
      reason: expect.stringContaining('maxCostUsdPerDay'),
    })
    // Told to its owner, once a day.
    expect(await world.query('select kind, body from notifications where subject_id = $1', [agentId])).toEqual([
      { kind: 'agent.budget_reached', body: expect.stringContaining('maxTokensPerRun') },
    ])
    await limits({})
  })

  test('is for the agent, its owner and admins', async () => {
    expect(await check({ toolName: 'read' }, world.owner)).toMatchObject({ allowed: true })
    await expect(check({ toolName: 'read' }, world.viewer)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(check({ toolName: 'read', projectId: newId() })).rejects.toMatchObject({ code: 'forbidden' })
  })
})

describe('tools.record', () => {
  test('logs the result beside the decision, once', async () => {
    const { decisionId } = await check({ toolName: 'read', operation: 'file' })
    const record = (): Promise<Json> =>
      world.call(world.agent, 'tools.record', {
        decisionId,
        result: { lines: 3, token: 't' },
        durationMs: 12,
      })
    await record()
    expect(await logged(decisionId)).toMatchObject([
      { result: null },
      {
        tool_name: 'read',
        operation: 'file',
        allowed: true,
        result: { lines: 3, token: '[redacted]' },
        duration_ms: 12,
      },
    ])
    await expect(record()).rejects.toMatchObject({ code: 'forbidden' })
    const { decisionId: another } = await check({ toolName: 'read', operation: 'file' })
    const twice = await Promise.allSettled(
      [1, 2].map(() => world.call(world.agent, 'tools.record', { decisionId: another, result: 'done' })),
    )
    expect(twice.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(await logged(another)).toHaveLength(2)
  })

  test('takes none of what was denied, and none of what is unknown', async () => {
    const { decisionId } = await check({ toolName: 'rocket' })
    await expect(world.call(world.agent, 'tools.record', { decisionId })).rejects.toMatchObject({
      code: 'forbidden',
    })
    await expect(world.call(world.agent, 'tools.record', { decisionId: newId() })).rejects.toMatchObject({
      code: 'not_found',
    })
  })
})
