import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import type { Add, Values } from './row.ts'

/** A plan with phases, steps, tasks and a subtask; answers the ids of the tasks. */
export async function makePlan(
  add: Add,
  here: Values,
  {
    ada,
    ben,
    pilotId,
    scoutId,
    at,
  }: {
    readonly ada: string
    readonly ben: string
    readonly pilotId: string
    readonly scoutId: string
    readonly at: (days: number) => string
  },
): Promise<readonly string[]> {
  const byAda = { ...here, created_by_user_id: ada }
  const byPilot = { ...here, created_by_agent_id: pilotId }
  const planId = await add('plans', {
    ...byAda,
    title: 'Public beta',
    status: 'active',
    priority: 'high',
    assigned_agent_id: pilotId,
    estimated_hours: 120,
    mobile_sync_enabled: true,
    agent_count: 3,
    deadline: at(-14),
  })
  const inPlan = { plan_id: planId }
  const prepare = await add('phases', { ...byAda, ...inPlan, title: 'Prepare', position: 0, status: 'in_progress' })
  const publish = await add('phases', { ...byAda, ...inPlan, title: 'Publish', position: 1 })
  const words = await add('macro_steps', {
    ...byPilot,
    phase_id: prepare,
    title: 'Words and pictures',
    position: 0,
    status: 'in_progress',
  })
  const checks = await add('macro_steps', {
    ...byPilot,
    phase_id: prepare,
    title: 'Checks',
    position: 1,
    execution_mode: 'parallel',
  })
  const release = await add('macro_steps', { ...byPilot, phase_id: publish, title: 'Release', position: 0 })
  for (const depends_on_id of [words, checks])
    await add('macro_step_dependencies', {
      ...here,
      id: uuidFromKey('macro_step_dependencies', [release, depends_on_id]),
      macro_step_id: release,
      depends_on_id,
    })
  const step = { ...byPilot, ...inPlan, kind: 'micro_step' }
  const announce = await add('tasks', {
    ...step,
    macro_step_id: words,
    title: 'Write the announcement',
    status: 'in_progress',
    priority: 'high',
    assigned_user_id: ben,
  })
  const quote = await add('tasks', {
    ...step,
    macro_step_id: words,
    parent_task_id: announce,
    title: 'Ask a first user for a quote',
    status: 'pending',
  })
  const shots = await add('tasks', {
    ...step,
    macro_step_id: words,
    title: 'Take screenshots',
    status: 'completed',
    assigned_agent_id: scoutId,
    position: 1,
  })
  const load = await add('tasks', {
    ...step,
    macro_step_id: checks,
    title: 'Run the load test',
    status: 'pending',
    priority: 'critical',
    tags: ['performance'],
  })
  const tag = await add('tasks', { ...step, macro_step_id: release, title: 'Tag the release', status: 'pending' })
  for (const depends_on_task_id of [announce, load])
    await add('task_dependencies', {
      ...here,
      id: uuidFromKey('task_dependencies', [tag, depends_on_task_id, 'depends_on']),
      task_id: tag,
      depends_on_task_id,
    })
  await add('success_criteria', {
    ...byAda,
    plan_id: planId,
    title: 'A change arrives within a blink',
    metric_name: 'live_latency_ms',
    operator: 'lt',
    target_value: 250,
    unit: 'ms',
  })
  await add('cost_estimates', {
    ...byPilot,
    plan_id: planId,
    status: 'approved',
    estimated_input_tokens: 400_000,
    estimated_output_tokens: 90_000,
    cost_low: 4,
    cost_expected: 6.5,
    cost_high: 9,
    confidence: 0.7,
  })
  await add('project_states', {
    ...here,
    id: uuidFromKey('project_states', [String(here['project_id'])]),
    current_task_id: announce,
    current_agent_id: pilotId,
    last_action: 'Handed out the checks',
    checkpoint: { step: 'checks' },
  })
  await add('task_runs', {
    ...here,
    task_id: shots,
    agent_id: scoutId,
    attempt: 1,
    status: 'completed',
    model: 'gpt-4-turbo',
    input_tokens: 5200,
    output_tokens: 800,
    started_at: at(3),
    finished_at: at(2.99),
  })
  return [announce, quote, shots, load, tag]
}
