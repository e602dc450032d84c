import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { redact } from '../../protocol/rows/redact.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { storableJson } from '../../protocol/rows/storable-json.ts'
import { actingAs } from './acting-as.ts'
import { defineAction, type ActionContext } from './action.ts'
import { decideTool, isLimited, nothingUsed, type Permission, type Used } from './tool-decision.ts'

/** Of a tool, which may say anything: what cannot be stored of it is U+FFFD. */
const said = z.json().transform((value): Json => JSON.parse(storableJson(value)) as Json)

/**
 * Asks whether an agent may use a tool: `{ allowed, reason, decisionId }`. The decision is logged either way, with the
 * parameters, whose secrets are taken out. A denial is an answer and no error.
 */
export const checkTool = defineAction({
  name: 'tools.check',
  input: z.strictObject({
    agentId: z.uuid(),
    toolName: z.string().min(1).max(100),
    operation: z.string().min(1).max(100).default('use'),
    parameters: said.optional(),
    projectId: z.uuid().optional(),
    taskId: z.uuid().optional(),
  }),
  async run(context, { agentId, toolName, operation, parameters, projectId, taskId }) {
    await checkPlace(context, agentId, projectId)
    const agent = await agentOf(context, agentId)
    const { allowed, reason, permissionId, isExhausted } = decideTool({
      toolName,
      operation,
      byUser: context.principal.kind === 'user',
      permissions: await permissionsOf(context, agentId, agent.type, toolName),
      dna: agent.dna,
      used: isLimited(agent.dna) ? await usedBy(context, agentId, taskId) : nothingUsed,
    })
    const [logged] = await context.query<{ readonly id: string }>({
      name: 'action_log_tool_decision',
      text: `insert into tool_audit_logs (
          organization_id, origin_device_id, agent_id, agent_label, project_id, task_id, tool_name, operation, allowed, denial_reason, permission_id, parameters
        ) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) returning id`,
      values: [
        context.principal.organizationId,
        context.principal.deviceId,
        agentId,
        agent.name,
        projectId ?? null,
        taskId ?? null,
        toolName,
        operation,
        allowed,
        reason,
        permissionId,
        toJsonb(parameters),
      ],
    })
    if (isExhausted)
      await context.query({
        name: 'action_budget_notice',
        text: 'select sync.notice_of_budget($1, $2)',
        values: [agentId, reason],
      })
    return { allowed, reason, decisionId: logged?.id ?? null }
  },
})

/**
 * Logs what the use of a tool came to: `{}`. It is a row of its own, since what happened is never changed; it has the
 * id of the decision. Only of what was allowed, and once.
 */
export const recordTool = defineAction({
  name: 'tools.record',
  input: z.strictObject({
    decisionId: z.uuid(),
    result: said.optional(),
    durationMs: z.number().int().min(0).max(2_147_483_647).optional(),
  }),
  async run(context, { decisionId, result, durationMs }) {
    // Two that come at once are one after the other.
    await context.query({
      name: 'action_lock_tool_decision',
      text: 'select pg_advisory_xact_lock(hashtextextended($1, 0))',
      values: [decisionId],
    })
    const decisions = await context.query<{ readonly agent: string | null; readonly allowed: boolean }>({
      name: 'action_tool_decision',
      text: 'select agent_id as agent, allowed from tool_audit_logs where id = $1 and organization_id = $2 limit 2',
      values: [decisionId, context.principal.organizationId],
    })
    const [decision, recorded] = decisions
    if (!decision?.agent) throw new TideError('not_found', `There is no decision ${decisionId} in this organization.`)
    await actingAs(context, decision.agent)
    if (!decision.allowed) throw new TideError('forbidden', `The use of ${decisionId} was denied.`)
    if (recorded) throw new TideError('forbidden', `The result of ${decisionId} is recorded already.`)
    await context.query({
      name: 'action_log_tool_result',
      text: `insert into tool_audit_logs (
          id, occurred_at, organization_id, origin_device_id, agent_id, agent_label, project_id, task_id, tool_name, operation, allowed, permission_id, result, duration_ms
        ) select id, greatest(clock_timestamp(), occurred_at + interval '1 millisecond'), organization_id, $2, agent_id, agent_label, project_id, task_id, tool_name, operation,
            allowed, permission_id, $3, $4
          from tool_audit_logs where id = $1`,
      values: [decisionId, context.principal.deviceId, toJsonb(result), durationMs ?? null],
    })
    return {}
  },
})

async function checkPlace(context: ActionContext, agentId: string, projectId: string | undefined): Promise<void> {
  const projects = await actingAs(context, agentId)
  if (projectId !== undefined && !projects.includes(projectId))
    throw new TideError('forbidden', `The caller may not work in project ${projectId}.`)
}

interface AgentRow {
  readonly name: string
  readonly type: string
  readonly dna: unknown
}

async function agentOf({ query }: ActionContext, agentId: string): Promise<AgentRow> {
  const [agent] = await query<AgentRow>({
    name: 'action_tool_agent',
    text: 'select name, agent_type as type, dna from agents where id = $1',
    values: [agentId],
  })
  if (!agent) throw new TideError('not_found', `There is no agent ${agentId} in this organization.`)
  return agent
}

/**
 * Of the run under way of the task that the tool is for; where there is none, the most that one of the agent's runs has
 * used.
 */
async function usedBy({ query }: ActionContext, agentId: string, taskId: string | undefined): Promise<Used> {
  const [row] = await query<{
    readonly runs: number
    readonly tokens: number
    readonly cost: number
    readonly seconds: number
    readonly today: number
  }>({
    name: 'action_tool_used',
    text: `
      with runs as (
        select r.task_id, coalesce(sum(u.total_tokens), 0) as tokens, coalesce(sum(u.cost_usd), 0) as cost,
          floor(extract(epoch from clock_timestamp() - coalesce(r.started_at, r.created_at))) as seconds
        from task_runs r left join token_usages u on u.task_run_id = r.id
        where r.agent_id = $1 and r.status = 'running' group by r.id
      )
      select count(*)::integer as runs, coalesce(max(tokens), 0)::float8 as tokens, coalesce(max(cost), 0)::float8 as cost,
        coalesce(max(seconds), 0)::float8 as seconds, (
          select coalesce(sum(cost_usd), 0)::float8 from token_usages
          where agent_id = $1 and occurred_at >= date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'
        ) as today
      from runs where task_id = $2 or not exists (select from runs where task_id = $2)`,
    values: [agentId, taskId ?? null],
  })
  if (!row) return nothingUsed
  const { runs, tokens, cost, seconds, today } = row
  return { run: runs === 0 ? null : { tokens, costUsd: cost, seconds }, todayUsd: today }
}

async function permissionsOf(
  { query, principal }: ActionContext,
  agentId: string,
  type: string,
  toolName: string,
): Promise<readonly Permission[]> {
  return query<Permission>({
    name: 'action_tool_permissions',
    text: `
      select id, allowed, operations, reason,
        case when agent_id is not null then 'agent' when organization_id is not null then 'organization' else 'shipped' end as of
      from agent_permissions
      where tool_name = $1 and deleted_at is null and (organization_id = $2 or organization_id is null)
        and (agent_id = $3 or agent_id is null and agent_type = $4)`,
    values: [toolName, principal.organizationId, agentId, type],
  })
}

function toJsonb(value: Json | undefined): string | null {
  return value === undefined ? null : storableJson(redact(value))
}
