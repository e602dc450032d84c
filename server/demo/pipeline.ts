import type { Add, Values } from './row.ts'

/** A pipeline whose one run had a gate that failed and was waived. */
export async function makePipeline(
  add: Add,
  here: Values,
  { cy, pilotId, at }: { readonly cy: string; readonly pilotId: string; readonly at: (days: number) => string },
): Promise<void> {
  const pipelineId = await add('pipelines', { ...here, name: 'Release', trigger_kind: 'push', created_by_user_id: cy })
  const steps = [
    ['build', 'build', 'completed'],
    ['test', 'test', 'completed'],
    ['gates', 'quality_gate', 'completed'],
    ['deploy', 'deploy', 'completed'],
  ] as const
  const executionId = await add('pipeline_executions', {
    ...here,
    pipeline_id: pipelineId,
    run_number: 1,
    definition_revision: 1,
    status: 'completed',
    trigger_kind: 'push',
    triggered_by_agent_id: pilotId,
    branch: 'main',
    gate_status: 'waived',
    started_at: at(1),
    finished_at: at(0.99),
  })
  for (const [position, [name, kind, status]] of steps.entries()) {
    const stepId = await add('pipeline_steps', { pipeline_id: pipelineId, name, kind, position })
    await add('pipeline_step_executions', {
      ...here,
      execution_id: executionId,
      step_id: stepId,
      step_name: name,
      position,
      status,
      exit_code: 0,
      started_at: at(1 - position / 400),
      finished_at: at(1 - (position + 1) / 400),
    })
  }
  const gates = [
    ['Coverage', 'coverage_percent', 'gte', 80, 86.5, true],
    ['Open warnings', 'lint_warnings', 'lte', 0, 2, false],
  ] as const
  for (const [name, metric_name, operator, threshold, actual_value, passed] of gates) {
    const gate = { ...here, pipeline_id: pipelineId, name, metric_name, operator, threshold, created_by_user_id: cy }
    const quality_gate_id = await add('quality_gates', gate)
    const waived = passed ? {} : { waived_by_user_id: cy, details: { reason: 'Both are about a generated file.' } }
    await add('quality_gate_results', {
      ...here,
      quality_gate_id,
      execution_id: executionId,
      gate_name: name,
      operator,
      threshold,
      actual_value,
      passed,
      ...waived,
    })
  }
}
