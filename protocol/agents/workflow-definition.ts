import { z } from 'zod'

const step = z.strictObject({
  /** Names the step in this definition. */
  key: z.string().min(1).max(120),
  title: z.string().min(1).max(255),
  description: z.string().max(100_000).optional(),
  /** Keys of the steps that must be completed before. */
  dependsOn: z.array(z.string()).max(100).optional(),
  agentType: z.string().max(62).optional(),
  agentId: z.uuid().optional(),
  priority: z.enum(['low', 'medium', 'high', 'critical']).optional(),
  maxAttempts: z.number().int().min(1).max(100).optional(),
  timeoutSeconds: z.number().int().min(1).optional(),
  expectedOutput: z.string().max(10_000).optional(),
  context: z.record(z.string(), z.json()).optional(),
})

/** `workflows.definition`: templates of tasks, and which wait for which. */
export const workflowDefinitionSchema = z.strictObject({
  steps: z
    .array(step)
    .max(500)
    .superRefine((steps, context) => {
      const keys = new Set<string>()
      for (const [index, { key }] of steps.entries()) {
        if (keys.has(key)) context.addIssue({ code: 'custom', path: [index, 'key'], message: `${key} is there twice` })
        keys.add(key)
      }
      const open = new Map(steps.map(({ key, dependsOn = [] }, index) => [key, { index, before: new Set(dependsOn) }]))
      for (const { index, before } of open.values())
        for (const key of before)
          if (!keys.has(key))
            context.addIssue({ code: 'custom', path: [index, 'dependsOn'], message: `there is no step ${key}` })
      for (let removed = true; removed;) {
        removed = false
        for (const [key, { before }] of open) {
          if ([...before].some((other) => open.has(other))) continue
          open.delete(key)
          removed = true
        }
      }
      const [circular] = open
      if (circular)
        context.addIssue({
          code: 'custom',
          path: [circular[1].index, 'dependsOn'],
          message: `${circular[0]} would wait for itself`,
        })
    }),
})
