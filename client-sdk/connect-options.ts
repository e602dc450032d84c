import { z } from 'zod'
import { deviceKinds } from '../protocol/device-kinds.ts'
import { TideError } from '../protocol/error.ts'
import type { Schema } from '../protocol/rows/table.ts'
import type { shippedSchema } from './schema.generated.ts'
import { defaultOutbox, type OutboxLimits } from './outbox/outbox.ts'
import { defaultTail, type TailLimits } from './outbox/tail.ts'
import type { ReplicaPlace } from './store/open-store.ts'

export interface ConnectOptions<S extends Schema = typeof shippedSchema> {
  /** Of the server, `http:` or `https:`; the WebSocket is on the same port. */
  readonly url: string
  /**
   * A token, or a function that is asked for a new one whenever one is needed. `undefined`, as a variable of the
   * environment may be, is refused.
   */
  readonly token: string | (() => string | Promise<string>) | undefined
  /** Where rows and unsent writes are kept. */
  readonly replica: ReplicaPlace
  /** How this replica is shown to others. */
  readonly device: { readonly name: string; readonly kind: DeviceKind }
  /**
   * How many writes are kept after they are synced, and for how long, to be sent again if the server's database is
   * restored from a backup that lacks them. Default: 10,000 writes, 48 hours; `{ writes: 0 }` keeps none.
   */
  readonly keepSettled?: { readonly writes?: number; readonly hours?: number }
  /**
   * How much may wait to be sent, refused writes included: a write beyond fails with `outbox_full`. Default: 100,000
   * writes and 64,000,000 characters of JSON.
   */
  readonly outbox?: { readonly writes?: number; readonly bytes?: number }
  /** The tables, as `tidewire generate` prints them; default: the shipped ones. */
  readonly schema?: S
}

export type DeviceKind = z.infer<typeof deviceSchema>['kind']

const deviceSchema = z.strictObject({
  name: z.string().min(1).max(120),
  kind: z.enum(deviceKinds),
})

const optionsSchema = z.object({
  url: z.url({ protocol: /^https?$/ }),
  token: z.union([z.string().min(1), z.function()]),
  replica: z.union([
    z.strictObject({ kind: z.literal('memory') }),
    z.strictObject({ kind: z.literal('pglite'), dir: z.string().min(1) }),
    z.strictObject({
      kind: z.literal('pglite'),
      name: z.string().regex(/^[\w.-]{1,64}$/, 'must be 1 to 64 letters, digits, `_`, `.` or `-`'),
    }),
  ]),
  device: deviceSchema,
  keepSettled: z
    .strictObject({ writes: z.int().min(0).max(1_000_000).optional(), hours: z.number().positive().optional() })
    .optional(),
  outbox: z.strictObject({ writes: z.int().min(1).optional(), bytes: z.int().min(1).optional() }).optional(),
})

export interface CheckedOptions {
  readonly url: string
  readonly token: string | (() => Promise<string>)
  readonly device: { readonly name: string; readonly kind: DeviceKind }
  readonly tail: TailLimits
  readonly outbox: OutboxLimits
}

/**
 * Checks the options of `connect`, all at once. Throws `TideError` `config_invalid`; a token never shows in the
 * message.
 */
export function checkOptions(options: ConnectOptions<Schema>): CheckedOptions {
  const { token } = options
  if (token === undefined)
    throw new TideError('config_invalid', 'The options of connect have no token: it is undefined.', {
      remedy: 'Set the variable that it comes from; `npx tidewire token --user EMAIL` prints one.',
    })
  const { success, error } = optionsSchema.safeParse(options)
  if (!success) {
    const problems = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    throw new TideError('config_invalid', `The options of connect are not right: ${problems.join('; ')}.`, {
      remedy: 'Correct the named options.',
    })
  }
  const { url, device, keepSettled = {}, outbox = {} } = options
  const { writes = defaultTail.writes, hours } = keepSettled
  return {
    url,
    device,
    token: typeof token === 'string' ? token : async () => token(),
    outbox: { ...defaultOutbox, ...outbox },
    tail: { ...defaultTail, writes, ms: hours === undefined ? defaultTail.ms : hours * 3_600_000 },
  }
}
