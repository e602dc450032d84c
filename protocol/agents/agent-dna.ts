/**
 * AgentDNA: what an agent is, as one document in `agents.dna`. It is stored as written, and merged per top-level key,
 * so that two devices that change two sub-models never collide; whoever reads fills the defaults with `AgentDNA.parse`.
 * The server refuses what these schemas refuse.
 */
import { z } from 'zod'
import { retryPolicySchema } from './retry-policy.ts'

const scopes = ['organization', 'project', 'team', 'user', 'agent'] as const
const memoryTypes = ['semantic', 'episodic', 'procedural', 'working', 'preference', 'decision', 'reflection'] as const

const count = z.number().int().min(0)
const positive = z.number().int().min(1)
const share = z.number().min(0).max(1)
const word = z.string().min(1).max(120)
const words = (most = 1000) => z.array(word).max(most)

/** Who the agent is. `role` is a key of `agent_types`. */
export const AgentIdentity = z.strictObject({
  name: z.string().min(1).max(255),
  role: word.default('generic'),
  tagline: z.string().max(200).optional(),
  purpose: z.string().max(2000).default(''),
  version: z
    .string()
    .regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/, 'must be a semantic version, e.g. 1.0.0')
    .default('1.0.0'),
  avatarUrl: z.url().optional(),
  languages: words(50).default(['en']),
  lineage: z
    .strictObject({ parentAgentId: z.uuid().nullable().default(null), generation: count.default(0) })
    .prefault({}),
})

/** How it speaks. `traits`: openness, caution, initiative, …, each from 0 to 1. */
export const AgentPersonality = z.strictObject({
  tone: z.enum(['neutral', 'formal', 'friendly', 'terse', 'playful']).default('neutral'),
  verbosity: z.enum(['low', 'medium', 'high']).default('medium'),
  traits: z.record(word, share).default({}),
  values: words(100).default([]),
  communicationStyle: z.string().max(1000).default(''),
  systemPromptId: z.uuid().nullable().default(null),
})

/** Which model thinks for it, and within which limits. */
export const AgentModelConfig = z.strictObject({
  provider: word.default('openrouter'),
  model: z.string().max(200).default(''),
  fallbackModels: words(20).default([]),
  temperature: z.number().min(0).max(2).default(0.7),
  topP: share.default(1),
  maxOutputTokens: positive.default(4096),
  contextLimit: positive.optional(),
  reasoning: z.enum(['off', 'low', 'medium', 'high']).default('off'),
  stop: z.array(z.string().min(1).max(200)).max(8).default([]),
  costCeilingUsdPerRun: z.number().min(0).optional(),
})

const Skill = z.strictObject({
  key: word,
  name: word,
  kind: z.enum(['skill', 'tool', 'language', 'modality', 'resource', 'integration']).default('skill'),
  proficiency: share.default(0.5),
  path: z.string().max(1000).optional(),
  enabled: z.boolean().default(true),
})

/** What it can. The server keeps `skills` as rows of `agent_capabilities`, named by `key`. */
export const AgentSkillSet = z.strictObject({
  skills: z
    .array(Skill)
    .max(500)
    .default([])
    .superRefine((skills, context) => {
      const seen = new Set<string>()
      for (const [index, { kind, key }] of skills.entries()) {
        const id = `${kind} ${key}`
        if (seen.has(id)) context.addIssue({ code: 'custom', path: [index, 'key'], message: `${id} is there twice` })
        seen.add(id)
      }
    }),
  tools: z
    .array(z.strictObject({ name: word, operations: words(100).default([]) }))
    .max(500)
    .default([]),
  maxParallelTools: z.number().int().min(1).max(32).default(1),
  disclosure: z.enum(['eager', 'progressive']).default('progressive'),
})

/** What it remembers, and how it recalls. `weights` need not sum to 1. */
export const AgentMemoryConfig = z.strictObject({
  enabled: z.boolean().default(true),
  scopes: z.array(z.enum(scopes)).default(['agent', 'project']),
  types: z.array(z.enum(memoryTypes)).default([...memoryTypes]),
  maxRecall: z.number().int().min(1).max(200).default(12),
  minConfidence: share.default(0.3),
  weights: z
    .strictObject({
      similarity: share.default(0.55),
      text: share.default(0.2),
      importance: share.default(0.15),
      recency: share.default(0.1),
    })
    .prefault({}),
  defaultDecayRate: share.default(0.01),
  autoCapture: z.boolean().default(true),
  consolidation: z
    .strictObject({
      enabled: z.boolean().default(true),
      everyHours: positive.default(24),
      minAccess: count.default(3),
    })
    .prefault({}),
  retentionDays: positive.nullable().default(null),
})

/**
 * What it may not. It narrows what `agent_permissions` allow, and never widens it; `allowedTools: null` leaves that to
 * them.
 */
export const AgentGuardrails = z.strictObject({
  allowedTools: words().nullable().default(null),
  deniedTools: words().default([]),
  maxTokensPerRun: positive.default(200_000),
  maxCostUsdPerDay: z.number().min(0).nullable().default(null),
  maxRunSeconds: positive.default(1800),
  requireApprovalFor: words().default([]),
  dataAccess: z.enum(['own', 'project', 'organization']).default('project'),
  redactSecrets: z.boolean().default(true),
  escalation: z
    .strictObject({ userId: z.uuid().nullable().default(null), afterFailures: count.default(3) })
    .prefault({}),
})

/**
 * How the agent's processes run. The server keeps `mobileCapable`, `deviceAffinity`, `locationEnabled` and
 * `batteryAware` in columns of the agent.
 */
export const AgentRuntime = z.strictObject({
  concurrency: z.number().int().min(1).max(64).default(1),
  heartbeatSeconds: z.number().int().min(5).max(3600).default(30),
  offlineCapable: z.boolean().default(true),
  mobileCapable: z.boolean().default(false),
  deviceAffinity: z.string().min(1).max(255).nullable().default(null),
  locationEnabled: z.boolean().default(false),
  batteryAware: z.boolean().default(false),
  minBatteryPercent: z.number().min(0).max(100).default(15),
  scaling: z.enum(['fixed', 'adaptive', 'elastic']).default('fixed'),
  schedule: z.string().max(200).nullable().default(null),
  retry: retryPolicySchema.prefault({}),
})

/** The whole. `AgentDNA.parse({ identity: { name } })` has every default; `extras` holds what an application adds. */
export const AgentDNA = z.strictObject({
  schemaVersion: z.literal(1).default(1),
  identity: AgentIdentity,
  personality: AgentPersonality.prefault({}),
  model: AgentModelConfig.prefault({}),
  skills: AgentSkillSet.prefault({}),
  memory: AgentMemoryConfig.prefault({}),
  guardrails: AgentGuardrails.prefault({}),
  runtime: AgentRuntime.prefault({}),
  extras: z.record(z.string(), z.json()).default({}),
})
/** With all defaults, as `parse` returns it. */
export type AgentDNA = z.output<typeof AgentDNA>
/** As it is written: only the name is required. */
export type AgentDNAInput = z.input<typeof AgentDNA>
