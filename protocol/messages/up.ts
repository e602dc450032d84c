import { z } from 'zod'
import { deviceKinds, storageEngines } from '../device-kinds.ts'
import { mostAnnounced, mostPushMutations } from '../limits.ts'
import { jsonSchema, mutationSchema, rowIdSchema } from './mutation.ts'
import { channelSchema, subscriptionSchema } from './subscription.ts'
import { isStorableText } from '../rows/canonical-json.ts'
import type { Filter } from '../rows/filter.ts'

const seqSchema = z.int().nonnegative()
/** Chosen by the client; the answer carries the same. */
const refSchema = z.int().nonnegative()

/** Text that goes into the database, or is compared with text that is there. */
const textSchema = z.string().refine(isStorableText, 'has U+0000 or half of a surrogate pair, which cannot be stored')

/** First message of a connection; answered by `welcome` or `error`. The token travels here, never in the URL. */
export const helloSchema = z.strictObject({
  type: z.literal('hello'),
  protocol: z.int(),
  /** Hash of the schema the client was built with. */
  schemaHash: z.string().max(64),
  token: z.string().min(1).max(8192),
  device: z.strictObject({
    fingerprint: textSchema.min(8).max(255),
    name: textSchema.min(1).max(120),
    kind: z.enum(deviceKinds),
    storageEngine: z.enum(storageEngines),
  }),
  /** Where the replica stands; null: it holds nothing. */
  cursor: z.strictObject({ epoch: textSchema.max(64), seq: seqSchema }).nullable(),
  /** Highest counter this replica has ever given out. */
  clientSeq: z.int().nonnegative(),
})

/** A new token on a living connection; answered by `authenticated` or `error`. */
export const authenticateSchema = z.strictObject({
  type: z.literal('authenticate'),
  ref: refSchema,
  token: z.string().min(1).max(8192),
})

/**
 * Follows channels. `held`: the replica has their full state as of its cursor and wants what came since; otherwise it
 * pulls `page`s and then says `activate`. Sent once with all held subscriptions after `welcome`, later one by one.
 */
export const subscribeSchema = z.strictObject({
  type: z.literal('subscribe'),
  subscriptions: z.array(subscriptionSchema.extend({ held: z.boolean() })).max(mostAnnounced),
})
export const unsubscribeSchema = z.strictObject({ type: z.literal('unsubscribe'), id: z.string().max(64) })

/**
 * Asks for the next page of a bootstrap; `after` is the `next` of the page before, null for the first. Stateless, so
 * resumable.
 */
export const pageRequestSchema = z.strictObject({
  type: z.literal('page'),
  subscription: z.string().max(64),
  after: z.string().max(500).nullable(),
})
/**
 * All pages are staged; `from` is the position page one was given with. The next batch completes them and names it in
 * `activated`.
 */
export const activateSchema = z.strictObject({
  type: z.literal('activate'),
  subscription: z.string().max(64),
  from: seqSchema,
})

/** Everything up to `seq` is durable on the replica. Opens the session's window. */
export const ackSchema = z.strictObject({ type: z.literal('ack'), seq: seqSchema })

/** Writes in clientSeq order; each is answered once in `outcomes`. */
export const pushSchema = z.strictObject({
  type: z.literal('push'),
  mutations: z.array(mutationSchema).min(1).max(mostPushMutations),
})

/** Count and hash per table of a subscription at the position of the answer; see `verified`. */
export const verifySchema = z.strictObject({
  type: z.literal('verify'),
  ref: refSchema,
  subscription: z.string().max(64),
})

/** Search on the server over what the principal may read. */
export const searchSchema = z.strictObject({
  type: z.literal('search'),
  ref: refSchema,
  table: z.string().max(63),
  /** base64 of float32 little-endian. */
  embedding: z.string().max(64_000).optional(),
  text: textSchema.max(4000).optional(),
  where: z.custom<Filter>((value) => typeof value === 'object' && value !== null).optional(),
  limit: z.int().min(1).max(200),
})

/** This device's ephemeral state in a channel; null leaves. */
export const presenceSchema = z.strictObject({
  type: z.literal('presence'),
  channel: channelSchema,
  state: z.record(z.string().max(63), jsonSchema).nullable(),
})

/** Calls a named server action. */
export const callSchema = z.strictObject({
  type: z.literal('call'),
  ref: refSchema,
  id: rowIdSchema,
  action: z.string().max(80),
  input: jsonSchema,
})

/** Everything a client can say. */
export const upSchema = z.discriminatedUnion('type', [
  helloSchema,
  authenticateSchema,
  subscribeSchema,
  unsubscribeSchema,
  pageRequestSchema,
  activateSchema,
  ackSchema,
  pushSchema,
  verifySchema,
  searchSchema,
  presenceSchema,
  callSchema,
])
export type Up = z.infer<typeof upSchema>
export type UpOf<T extends Up['type']> = Extract<Up, { type: T }>
