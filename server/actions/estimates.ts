import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { defineAction, type ActionContext } from './action.ts'
import { oneRow } from './one-row.ts'

const tokens = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const subjects = { planId: 'plans', phaseId: 'phases', macroStepId: 'macro_steps', taskId: 'tasks' } as const

/**
 * Makes an estimate (a draft) from the tokens that are expected: what they cost at the price in force, times what the
 * organization's active model has learned: `{ estimate }`. Without an active model the price is the estimate, and there
 * is no range. Whoever may write estimates may.
 */
export const estimateCost = defineAction({
  name: 'costs.estimate',
  input: z.strictObject({
    projectId: z.uuid(),
    /** At most one; the project itself when absent. */
    planId: z.uuid().optional(),
    phaseId: z.uuid().optional(),
    macroStepId: z.uuid().optional(),
    taskId: z.uuid().optional(),
    provider: z.string().min(1).max(60).default('openrouter'),
    model: z.string().min(1).max(160),
    inputTokens: tokens,
    outputTokens: tokens,
  }),
  async run(context, input) {
    const { projectId, provider, model, inputTokens, outputTokens } = input
    const role = context.access.channels.get(`project/${projectId}`)
    if (!role) throw new TideError('not_found', `There is no project ${projectId} that the caller can see.`)
    if (role === 'viewer') throw new TideError('forbidden', `A viewer of project ${projectId} makes no estimates.`)
    await checkSubject(context, input)
    const { principal } = context
    const [made] = await context.query<{ readonly id: string }>({
      name: 'action_estimate',
      text: estimateSql,
      values: [
        principal.organizationId,
        projectId,
        input.planId ?? null,
        input.phaseId ?? null,
        input.macroStepId ?? null,
        input.taskId ?? null,
        provider,
        model,
        inputTokens,
        outputTokens,
        principal.kind === 'user' ? principal.id : null,
        principal.kind === 'agent' ? principal.id : null,
        principal.deviceId,
      ],
    })
    if (!made)
      throw new TideError('not_found', `The model ${model} of ${provider} has no price now.`, {
        remedy: 'Add one with `npx tidewire prices add`.',
      })
    return { estimate: await oneRow(context, 'cost_estimates', made.id) }
  },
})

async function checkSubject(
  { query }: ActionContext,
  input: { readonly projectId: string } & { readonly [Key in keyof typeof subjects]?: string | undefined },
): Promise<void> {
  const named = (['planId', 'phaseId', 'macroStepId', 'taskId'] as const).filter((key) => input[key] !== undefined)
  if (named.length > 1)
    throw new TideError('bad_message', `costs.estimate: ${named.join(' and ')} are given; an estimate is of one thing.`)
  const [key] = named
  if (!key) return
  const found = await query({
    text: `select from ${subjects[key]} where id = $1 and project_id = $2 and deleted_at is null`,
    values: [input[key], input.projectId],
  })
  if (found.length === 0)
    throw new TideError('not_found', `There is no ${key.slice(0, -2)} ${input[key]} in project ${input.projectId}.`)
}

/** A model of cost is asked before one of tokens. `assumptions` keep what was foreseen without it, to learn from. */
const estimateSql = `
with price as (
  select sync.usage_cost(p, $9, 0, $10) as cost from sync.price_at($1, $7, $8, now()) p where p.id is not null
), active as (
  select id, case when jsonb_typeof(parameters -> 'ratio') = 'number' and (parameters ->> 'ratio')::numeric > 0 then (parameters ->> 'ratio')::numeric else 1 end as ratio,
    mean_absolute_pct_error::numeric / 100 as error, greatest(1 - mean_absolute_pct_error::numeric / 100, case when mean_absolute_pct_error is not null then 0 end) as rest
  from cost_models
  where organization_id = $1 and is_active and deleted_at is null and target in ('cost', 'tokens') order by target limit 1
)
insert into cost_estimates (
  organization_id, project_id, plan_id, phase_id, macro_step_id, task_id, provider, model, estimated_input_tokens, estimated_output_tokens,
  cost_model_id, cost_low, cost_expected, cost_high, confidence, assumptions, created_by_user_id, created_by_agent_id, origin_device_id
)
select $1, $2, $3, $4, $5, $6, $7, $8, round($9::bigint * coalesce(a.ratio, 1)), round($10::bigint * coalesce(a.ratio, 1)),
  a.id, p.cost * a.ratio * a.rest, p.cost * coalesce(a.ratio, 1), p.cost * a.ratio * (1 + a.error), a.rest,
  jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
    'kind', 'cost_model', 'cost', trim_scale(p.cost), 'tokens', $9::bigint + $10::bigint, 'ratio', a.ratio
  ))), $11, $12, $13
from price p left join active a on true
returning id`
