import { z } from 'zod'
import { errorCodeSchema, jsonSchema, outcomeSchema, rowIdSchema } from './mutation.ts'
import { channelSchema } from './subscription.ts'
import type { TableBlock } from '../rows/block.ts'

const seqSchema = z.int().nonnegative()
const refSchema = z.int().nonnegative()
/**
 * Checked structurally by the block codec when it is unpacked, not value by value here: it is the bulk of all bytes.
 */
const blockSchema = z.custom<TableBlock>(
  (value) => typeof value === 'object' && value !== null && Array.isArray((value as TableBlock).columns),
)

export const errorBodySchema = z.strictObject({
  code: errorCodeSchema,
  message: z.string(),
  remedy: z.string(),
  retryAfterMs: z.number().optional(),
})

/**
 * Answer to `hello`. `resume` is false when the cursor is of another history, ahead of the log, or older than what the
 * log keeps. The client then bootstraps, and keeps its unsent writes.
 */
export const welcomeSchema = z.strictObject({
  type: z.literal('welcome'),
  protocol: z.int(),
  schemaHash: z.string(),
  epoch: z.string(),
  resume: z.boolean(),
  organizationId: z.string(),
  principal: z.strictObject({ kind: z.enum(['user', 'agent']), id: z.string() }),
  deviceId: z.string(),
  /** Highest clientSeq the ledger knows of this device. */
  clientSeq: z.int().nonnegative(),
  serverTime: z.number(),
  tokenExpiresAt: z.number(),
  limits: z.strictObject({
    messageBytes: z.int(),
    subscriptions: z.int(),
    pushMutations: z.int(),
    windowBatches: z.int(),
  }),
})
export const authenticatedSchema = z.strictObject({
  type: z.literal('authenticated'),
  ref: refSchema,
  tokenExpiresAt: z.number(),
})

/** A subscription was taken, or refused with the reason. */
export const subscribedSchema = z.strictObject({
  type: z.literal('subscribed'),
  id: z.string(),
  error: errorBodySchema.optional(),
})

/**
 * Rows of a bootstrap, to be staged. `from`: the log position before this page was read; the client keeps that of the
 * first page. `deflated`: the blocks are in section 0, deflated (RFC 1951): a frame of so many bytes whose header is
 * the list of blocks.
 */
export const pageSchema = z.strictObject({
  type: z.literal('page'),
  subscription: z.string(),
  from: seqSchema,
  blocks: z.array(blockSchema),
  deflated: z.int().positive().optional(),
  next: z.string().nullable(),
})

/**
 * The state as of `to`: what changed since the session's last batch, to be applied in one local transaction. With
 * `more`, this is a part: the client keeps it and applies all parts when the one without `more` comes.
 */
export const batchSchema = z.strictObject({
  type: z.literal('batch'),
  to: seqSchema,
  /** Server time of the snapshot, milliseconds since 1970. */
  at: z.number(),
  more: z.boolean(),
  blocks: z.array(blockSchema),
  deletes: z.array(z.strictObject({ table: z.string(), ids: z.array(z.string()) })),
  /**
   * Channels whose rows the client purges; a sub-channel's name purges just that. `revoked`: access was lost; else it
   * moved.
   */
  leaves: z.array(z.strictObject({ channel: channelSchema, revoked: z.boolean() })),
  /** Mutations of this device whose effect, if any, is in this or an earlier batch. */
  settled: z.array(rowIdSchema),
  /** Subscriptions whose staged pages are completed by this batch. */
  activated: z.array(z.string()),
  /** Tables that were truncated: drop all their rows before applying. */
  resets: z.array(z.string()),
})

/** All that was committed before `at` has been sent; a sign of life that went through the whole path. */
export const frontierSchema = z.strictObject({ type: z.literal('frontier'), seq: seqSchema, at: z.number() })

export const outcomesSchema = z.strictObject({ type: z.literal('outcomes'), outcomes: z.array(outcomeSchema) })

/**
 * Count and sum of row hashes for each of sixteen ranges, by the last hex digit of the id (`rows/verify.ts`). They are
 * as of `to`, and come after the batch of that position.
 */
export const verifiedSchema = z.strictObject({
  type: z.literal('verified'),
  ref: refSchema,
  to: seqSchema,
  tables: z.array(
    z.strictObject({
      table: z.string(),
      ranges: z.array(z.strictObject({ count: z.int(), hash: z.number() })).length(16),
    }),
  ),
})

export const foundSchema = z.strictObject({
  type: z.literal('found'),
  ref: refSchema,
  blocks: z.array(blockSchema),
  hits: z.array(z.strictObject({ id: z.string(), score: z.number(), parts: z.record(z.string(), z.number()) })),
})

/** Someone present in a channel, as the server vouches for it. */
export const peerSchema = z.strictObject({
  deviceId: z.string(),
  name: z.string(),
  userId: z.string().nullable(),
  agentId: z.string().nullable(),
  state: z.record(z.string(), jsonSchema),
})

/** Everyone present in a channel the client follows, whenever it changes. */
export const presentSchema = z.strictObject({
  type: z.literal('present'),
  channel: channelSchema,
  peers: z.array(peerSchema),
})

export const calledSchema = z.strictObject({ type: z.literal('called'), ref: refSchema, result: jsonSchema })

/** Something could not be done. `ref` names the request, if it had one; `fatal` closes the connection. */
export const errorMessageSchema = z.strictObject({
  type: z.literal('error'),
  ref: refSchema.optional(),
  subscription: z.string().optional(),
  fatal: z.boolean(),
  error: errorBodySchema,
})

/** Everything a server can say. */
export const downSchema = z.discriminatedUnion('type', [
  welcomeSchema,
  authenticatedSchema,
  subscribedSchema,
  pageSchema,
  batchSchema,
  frontierSchema,
  outcomesSchema,
  verifiedSchema,
  foundSchema,
  presentSchema,
  calledSchema,
  errorMessageSchema,
])
export type Down = z.infer<typeof downSchema>
export type DownOf<T extends Down['type']> = Extract<Down, { type: T }>
