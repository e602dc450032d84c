import { z } from 'zod'
import type { Filter } from '../rows/filter.ts'

export const channelSchema = z
  .string()
  .max(80)
  .regex(/^(global|[a-z_]+\/[0-9a-f-]{36})$/, 'must be `global` or `kind/<uuid>`')

/** One followed channel. A filter per table narrows it; sub-channels (messages, tags …) come along. */
export const subscriptionSchema = z.strictObject({
  /** Chosen by the client, unique among its subscriptions; kept across reconnects. */
  id: z.string().min(1).max(64),
  channel: channelSchema,
  /** SQL names; absent: all synced tables. */
  tables: z.array(z.string().max(63)).max(200).optional(),
  /** By SQL table name. Checked against the schema by the server. */
  where: z
    .record(
      z.string().max(63),
      z.custom<Filter>((value) => typeof value === 'object' && value !== null),
    )
    .optional(),
  /** Whether vector columns are sent. */
  embeddings: z.boolean(),
})
export type Subscription = z.infer<typeof subscriptionSchema>
