import { z } from 'zod'
import { toSeq } from '../../../protocol/seq.ts'
import {
  noOrigin,
  type Action,
  type CapturedKey,
  type CommitPoint,
  type Origin,
  type SpilledKey,
} from './captured-commit.ts'
import { foldKeys } from './fold-keys.ts'
import type { PgoutputMessage } from './pgoutput-decoder.ts'
import { SilentUpdates } from './silent-updates.ts'

export interface AssemblerOptions {
  /** Keys held in memory of all open transactions together; beyond it, the one that has most is spilled. */
  readonly openKeys: number
  /** A message in the WAL was passed over. */
  readonly onForeign?: ((reason: ForeignReason) => void) | undefined
}

/**
 * Why a message is not one of ours: by its `prefix` it is another program's, or its `content` is nothing that Tidewire
 * writes under that prefix.
 */
export type ForeignReason = 'prefix' | 'content'

interface OpenTransaction {
  readonly xid: number
  keys: SpilledKey[]
  /** Who writes, newest last; one said in a subtransaction goes with it. */
  origins: { readonly subxid: number; readonly origin: Origin }[]
  n: number
  spilled: boolean
  told: boolean
}

/** As Postgres writes them, of whatever version. */
const id = z.guid().nullish().default(null)
/**
 * A setting may be anything (`set app.user_id = 'bob'`): then it is not known who wrote, and the commit counts all the
 * same.
 */
const origin = z.guid().nullable().catch(null)
const name = (most: number): z.ZodString =>
  z
    .string()
    .max(most)
    .regex(/^[^\p{Cc}]+$/u)
const origins = {
  mutation_id: origin,
  origin_device_id: origin,
  actor_user_id: origin,
  actor_agent_id: origin,
}
const originMessage = z.object(origins)
const keyMessage = z
  .object({
    ...origins,
    organization_id: id,
    channel: name(200),
    old_channel: name(200).nullish().default(null),
    table_name: name(63),
    row_id: id,
    op: z.enum(['upsert', 'delete', 'reset', 'mark']),
    born: z.boolean(),
  })
  .refine(({ op, row_id }) => row_id !== null || op === 'reset' || op === 'mark')

/**
 * Prefixes of logical messages that are ours. Migrations write the first two, servers that follow the log the third,
 * and the one that writes it the last, which says nothing: what was committed before it is flushed.
 */
export const messagePrefix = {
  key: 'tidewire.key',
  origin: 'tidewire.origin',
  tell: 'tidewire.tell',
  flush: 'tidewire.flush',
} as const
const prefixes: ReadonlySet<string> = new Set(Object.values(messagePrefix))

/**
 * Messages → commits. Postgres sends a transaction after its commit, in one piece; a big one while it is still open, in
 * blocks among others, and then its commit or abort. Nothing leaves here as a commit before the stream has said so, and
 * no more than `openKeys` keys are held: the rest is handed out to be spilled.
 */
export class CommitAssembler {
  readonly #maxOpenKeys: number
  readonly #onForeign: (reason: ForeignReason) => void
  readonly #open = new Map<number, OpenTransaction>()
  readonly #silent = new SilentUpdates()
  #current: OpenTransaction | undefined
  #openKeys = 0

  constructor({ openKeys, onForeign = () => undefined }: AssemblerOptions) {
    this.#maxOpenKeys = openKeys
    this.#onForeign = onForeign
  }

  /** Number of keys held of transactions whose end is not known. */
  get openKeys(): number {
    return this.#openKeys
  }

  accept(message: PgoutputMessage): readonly Action[] {
    switch (message.kind) {
      case 'begin':
      case 'stream_start':
        this.#current = this.#transaction(message.xid)
        return []
      case 'stream_stop':
        this.#current = undefined
        return []
      case 'commit':
        return this.#commit(this.#current?.xid ?? 0, message)
      case 'stream_commit':
        return this.#commit(message.xid, message)
      case 'stream_abort':
        return this.#abort(message.xid, message.subxid)
      case 'truncate':
        return message.tables.flatMap((table) => this.#add(message.subxid, resetOf(table)))
      case 'row':
        return this.#add(message.subxid, (origin) => rowKey(message, origin))
      case 'message':
        return this.#hear(message)
      case 'other':
        return []
    }
  }

  #transaction(xid: number): OpenTransaction {
    const known = this.#open.get(xid)
    if (known) return known
    const fresh: OpenTransaction = { xid, keys: [], origins: [], n: 0, spilled: false, told: false }
    this.#open.set(xid, fresh)
    return fresh
  }

  #hear({ prefix, content, transactional, subxid }: PgoutputMessage & { readonly kind: 'message' }): readonly Action[] {
    if (!prefixes.has(prefix)) return this.#passOver('prefix')
    const transaction = this.#current
    if (!transactional || !transaction) return this.#passOver('content')
    if (prefix === messagePrefix.tell) transaction.told = true
    if (prefix === messagePrefix.origin) {
      const origin = read(originMessage, content)
      if (!origin) this.#passOver('content')
      transaction.origins.push({ subxid: subxid ?? transaction.xid, origin: origin ?? noOrigin })
    }
    if (prefix !== messagePrefix.key) return []
    const key = read(keyMessage, content)
    if (!key) return this.#passOver('content')
    return this.#add(subxid, () => ({
      organizationId: key.organization_id,
      channel: key.channel,
      oldChannel: key.old_channel,
      table: key.table_name,
      rowId: key.row_id,
      op: key.op,
      born: key.born,
      version: null,
      origin: key,
    }))
  }

  #passOver(reason: ForeignReason): readonly Action[] {
    this.#onForeign(reason)
    return []
  }

  #add(subxid: number | null, make: (origin: Origin) => CapturedKey): readonly Action[] {
    const transaction = this.#current
    if (!transaction) throw new Error('pgoutput sent a change outside a transaction.')
    const key = make(transaction.origins.at(-1)?.origin ?? noOrigin)
    transaction.keys.push({ subxid: subxid ?? transaction.xid, n: transaction.n++, key })
    this.#openKeys++
    return this.#openKeys > this.#maxOpenKeys ? [this.#spill()] : []
  }

  #spill(): Action {
    const [largest] = [...this.#open.values()].toSorted((a, b) => b.keys.length - a.keys.length)
    if (!largest) throw new Error('There are keys of no transaction.')
    const { xid, keys } = largest
    largest.keys = []
    largest.spilled = true
    this.#openKeys -= keys.length
    return { kind: 'spill', xid, keys }
  }

  #commit(
    xid: number,
    { lsn, end, at }: { readonly lsn: number; readonly end: number; readonly at: number },
  ): readonly Action[] {
    const transaction = this.#close(xid)
    const point: CommitPoint = { xid, seq: toSeq(lsn), end, at }
    if (!transaction.spilled) {
      const keys = this.#silent.without(foldKeys(transaction.keys.map(({ key }) => key)))
      return [{ kind: 'commit', point, keys, told: transaction.told }]
    }
    this.#silent.forget()
    const rest: readonly Action[] = transaction.keys.length > 0 ? [{ kind: 'spill', xid, keys: transaction.keys }] : []
    return [...rest, { kind: 'commit_spilled', point }]
  }

  #abort(xid: number, subxid: number): readonly Action[] {
    if (subxid === xid) return this.#close(xid).spilled ? [{ kind: 'forget', xid, subxid: null }] : []
    const transaction = this.#transaction(xid)
    const kept = transaction.keys.filter((key) => key.subxid !== subxid)
    this.#openKeys -= transaction.keys.length - kept.length
    transaction.keys = kept
    transaction.origins = transaction.origins.filter((origin) => origin.subxid !== subxid)
    return transaction.spilled ? [{ kind: 'forget', xid, subxid }] : []
  }

  #close(xid: number): OpenTransaction {
    const transaction = this.#transaction(xid)
    this.#open.delete(xid)
    this.#openKeys -= transaction.keys.length
    if (this.#current === transaction) this.#current = undefined
    return transaction
  }
}

/** Whoever logs in to the database can emit messages under our prefixes; undefined: it is none of ours. */
function read<T>(schema: z.ZodType<T>, content: string): T | undefined {
  try {
    return schema.safeParse(JSON.parse(content)).data
  } catch {
    return undefined
  }
}

function resetOf(table: string): (origin: Origin) => CapturedKey {
  return (origin) => ({
    organizationId: null,
    channel: 'global',
    oldChannel: null,
    table,
    rowId: null,
    op: 'reset',
    born: false,
    version: null,
    origin,
  })
}

function rowKey({ op, table, row, old }: PgoutputMessage & { readonly kind: 'row' }, origin: Origin): CapturedKey {
  const now = row ?? old
  const channel = now?.channel
  const rowId = now?.id
  if (channel === undefined || rowId === undefined)
    throw new Error(
      `pgoutput sent a change of ${table} without id and channel: its replica identity is not (id, channel).`,
    )
  const before = row && old?.channel !== undefined && old.channel !== channel ? old.channel : null
  return {
    organizationId: now?.organization_id ?? null,
    channel,
    oldChannel: before,
    table,
    rowId,
    op: op === 'delete' ? 'delete' : 'upsert',
    born: op === 'insert',
    version: row?.version ?? null,
    origin,
  }
}
