import type { z } from 'zod'
import { AgentDNA } from '../../protocol/agents/agent-dna.ts'
import { eventFilterSchema } from '../../protocol/agents/event-filter.ts'
import { retryPolicySchema } from '../../protocol/agents/retry-policy.ts'
import { workflowDefinitionSchema } from '../../protocol/agents/workflow-definition.ts'
import type { Patch } from '../../protocol/rows/row.ts'
import { refuse, type Refusal } from './refusal.ts'

/**
 * JSON columns whose content has a schema, by table and property. An empty object is a document that is not written
 * yet.
 */
const documents: Readonly<Record<string, Readonly<Record<string, z.ZodType>>>> = {
  agents: { dna: AgentDNA },
  event_subscriptions: { filter: eventFilterSchema, retryPolicy: retryPolicySchema },
  tasks: { retryPolicy: retryPolicySchema },
  workflows: { definition: workflowDefinitionSchema, retryPolicy: retryPolicySchema },
}

/**
 * Whether the documents that are to be stored are as their schemas say. The message names the path of the first fault.
 */
export function checkDocuments(table: string, values: Patch): Refusal | undefined {
  for (const [property, schema] of Object.entries(documents[table] ?? {})) {
    const value = values[property]
    if (value === undefined || value === null || isEmpty(value)) continue
    const issue = schema.safeParse(value).error?.issues[0]
    if (!issue) continue
    const path = [property, ...issue.path, ...(issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])]
    return refuse('invalid_value', `${table}.${path.join('.')}: ${issue.message}.`)
  }
  return undefined
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}
