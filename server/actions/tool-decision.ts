import { z } from 'zod'

/** A row of `agent_permissions` that may concern the agent. */
export interface Permission {
  readonly id: string
  readonly allowed: boolean
  /** Empty: all. */
  readonly operations: readonly string[]
  readonly reason: string | null
  /** Which one counts: of the agent, of its type in the organization, of its type as shipped. */
  readonly of: 'agent' | 'organization' | 'shipped'
}

export interface ToolRequest {
  readonly toolName: string
  readonly operation: string
  /** By a person who may act for the agent, which counts as their approval. */
  readonly byUser: boolean
  readonly permissions: readonly Permission[]
  /** `agents.dna`, as it is stored. */
  readonly dna: unknown
  /** What the agent has used up; read only where something is limited. */
  readonly used: Used
}

/** Of the run that the tool is for (null: of none), and of the agent today (UTC). */
export interface Used {
  readonly run: { readonly tokens: number; readonly costUsd: number; readonly seconds: number } | null
  readonly todayUsd: number
}

export const nothingUsed: Used = { run: null, todayUsd: 0 }

export interface ToolDecision {
  readonly allowed: boolean
  /** Why not. */
  readonly reason: string | null
  /** The row that decided. */
  readonly permissionId: string | null
  /** A limit of the agent was reached; nothing else is in the way. */
  readonly isExhausted: boolean
}

const order = ['agent', 'organization', 'shipped'] as const

const dnaSchema = z.object({
  guardrails: z
    .object({
      allowedTools: z.array(z.string()).nullable().default(null),
      deniedTools: z.array(z.string()).default([]),
      requireApprovalFor: z.array(z.string()).default([]),
      maxTokensPerRun: z.number().default(200_000),
      maxRunSeconds: z.number().default(1800),
      maxCostUsdPerDay: z.number().nullable().default(null),
    })
    .optional(),
  model: z.object({ costCeilingUsdPerRun: z.number().optional() }).optional(),
})

/** Whether the document limits anything that is used up. An agent without guardrails has no limits. */
export function isLimited(dna: unknown): boolean {
  const { data } = dnaSchema.safeParse(dna ?? {})
  return data?.guardrails !== undefined || data?.model?.costCeilingUsdPerRun !== undefined
}

/**
 * Whether an agent may use a tool: no row, no use; the agent's own row before its type's; and its guardrails can only
 * narrow that.
 */
export function decideTool({ toolName, operation, byUser, permissions, dna, used }: ToolRequest): ToolDecision {
  const [row] = permissions.toSorted((a, b) => order.indexOf(a.of) - order.indexOf(b.of))
  const decided = (reason: string | null): ToolDecision => ({
    allowed: reason === null,
    reason,
    permissionId: row?.id ?? null,
    isExhausted: false,
  })
  if (!row) return decided(`No permission names the tool ${toolName}.`)
  if (!row.allowed) return decided(row.reason ?? `The permission of the ${nameOf(row)} denies ${toolName}.`)
  if (row.operations.length > 0 && !row.operations.includes(operation))
    return decided(
      `The permission of the ${nameOf(row)} allows ${toolName} for ${row.operations.join(', ')}, not for ${operation}.`,
    )
  const parsed = dnaSchema.safeParse(dna ?? {})
  if (!parsed.success) return decided('The guardrails of the agent cannot be read.')
  const { allowedTools = null, deniedTools = [], requireApprovalFor = [] } = parsed.data.guardrails ?? {}
  if (deniedTools.includes(toolName)) return decided(`The guardrails of the agent deny ${toolName}.`)
  if (allowedTools && !allowedTools.includes(toolName))
    return decided(`The guardrails of the agent do not allow ${toolName}.`)
  const needsApproval = [toolName, `${toolName}.${operation}`].some((name) => requireApprovalFor.includes(name))
  if (needsApproval && !byUser) return decided(`${toolName} needs approval: a person must ask for it.`)
  const limit = exhausted(parsed.data, used)
  return { ...decided(limit), isExhausted: limit !== null }
}

/** The first limit that is reached. */
function exhausted({ guardrails, model }: z.infer<typeof dnaSchema>, { run, todayUsd }: Used): string | null {
  const limits: readonly (readonly [string, number | null | undefined, number | undefined, string])[] = [
    ['maxTokensPerRun', guardrails?.maxTokensPerRun, run?.tokens, 'tokens in this run'],
    ['maxRunSeconds', guardrails?.maxRunSeconds, run?.seconds, 'seconds of this run'],
    ['costCeilingUsdPerRun', model?.costCeilingUsdPerRun, run?.costUsd, 'USD in this run'],
    ['maxCostUsdPerDay', guardrails?.maxCostUsdPerDay, todayUsd, 'USD today'],
  ]
  for (const [name, most, used, of] of limits)
    if (typeof most === 'number' && used !== undefined && used >= most)
      return `The agent has used ${used} ${of}, and its ${name} is ${most}.`
  return null
}

function nameOf({ of }: Permission): string {
  return of === 'agent' ? 'agent' : of === 'organization' ? "agent's type" : "agent's type, as shipped,"
}
