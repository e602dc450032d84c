import { z } from 'zod'
import { errorCodes, type ErrorCode } from '../error-codes.ts'
import { isRowId } from '../../lib/uuid.ts'
import type { Json } from '../rows/row.ts'

export const rowIdSchema = z.string().refine(isRowId, 'must be a lower-case UUID of version 7 or 8')
export const jsonSchema: z.ZodType<Json> = z.json()
export const errorCodeSchema = z.enum(Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]])

export const mutationOps = ['insert', 'patch', 'increment', 'delete', 'restore', 'resolve'] as const

/**
 * One write of a client. `set` and `base` are by camelCase property in wire form (vectors as base64 of float32).
 * `base` holds the values before this device's first unsynced touch of the columns in `set`: the server merges against
 * them and needs no history. A write that gives a row the place which one row at a time has (`exclusive` of its table)
 * has in `base.id` the row that had it as the device saw it, or null.
 */
export const mutationSchema = z.strictObject({
  /** UUIDv7 made by the client: the key of exactly-once. */
  id: rowIdSchema,
  /** 1, 2, 3 … per device, given when first sent. */
  clientSeq: z.int().positive(),
  table: z.string().max(63),
  rowId: rowIdSchema,
  op: z.enum(mutationOps),
  set: z.record(z.string().max(63), jsonSchema).optional(),
  base: z.record(z.string().max(63), jsonSchema).optional(),
  /** `increment` only: amounts to add, by counter column. */
  inc: z.record(z.string().max(63), z.number()).optional(),
  /** Mutations of one group are applied all or none; they follow each other without gap in one push. */
  group: rowIdSchema.optional(),
  /** Earlier mutations of this device without which this one makes no sense. */
  dependsOn: z.array(rowIdSchema).max(100).optional(),
  /**
   * When it was written as far as the device knew, milliseconds since 1970. The server orders writes by their arrival,
   * not by this. It refuses a time that is more than 24 hours ahead.
   */
  at: z.number(),
})
export type Mutation = z.infer<typeof mutationSchema>

/** How a resolve mutation settles a conflict; travels in `set` of op `resolve` on table `sync_conflicts`. */
export const resolutionSchema = z.union([
  z.strictObject({ take: z.enum(['client', 'server']) }),
  z.strictObject({ take: z.literal('manual'), patch: z.record(z.string().max(63), jsonSchema) }),
])
export type Resolution = z.infer<typeof resolutionSchema>

/**
 * The final answer to one mutation. It is stored, and a repeat of the mutation gets the same.
 * - `applied`: as sent · `merged`: applied beside other changes · `noop`: nothing was left to do
 * - `conflict`: the columns in conflict kept the server's value; the losing values are in the row `conflictId` of
 *   sync_conflicts
 * - `rejected`: nothing was applied
 */
export const outcomeSchema = z.strictObject({
  mutationId: rowIdSchema,
  clientSeq: z.int().positive(),
  kind: z.enum(['applied', 'merged', 'noop', 'conflict', 'rejected']),
  /** Version of the row after the mutation, where it has one. */
  version: z.int().positive().optional(),
  conflictId: rowIdSchema.optional(),
  /** Columns in conflict, or values that were not taken although sent (server columns). */
  columns: z.array(z.string()).optional(),
  /** The row that stands for the inserted one, when the server folded the insert into an existing row. */
  standsFor: rowIdSchema.optional(),
  error: z.strictObject({ code: errorCodeSchema, message: z.string(), remedy: z.string() }).optional(),
})
export type Outcome = z.infer<typeof outcomeSchema>
