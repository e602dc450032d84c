import { z } from 'zod'

/** Which events a subscription is for, beside the patterns of source and type: all that is named must be so. */
export const eventFilterSchema = z.strictObject({
  projectId: z.uuid().optional(),
  agentId: z.uuid().optional(),
  userId: z.uuid().optional(),
  subjectType: z.string().max(120).optional(),
  subjectId: z.uuid().optional(),
  correlationId: z.uuid().optional(),
  /** One of these. */
  priority: z
    .array(z.enum(['low', 'medium', 'high', 'critical']))
    .min(1)
    .max(4)
    .optional(),
  /** The data contain this, as jsonb `@>` does. */
  data: z.record(z.string(), z.json()).optional(),
})
