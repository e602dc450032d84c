import { TideError } from '../../protocol/error.ts'
import { mostMutationLength } from '../../protocol/limits.ts'
import { channelOf } from '../../protocol/rows/channel.ts'
import type { Json, Row } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { dependenciesOf } from '../outbox/depends.ts'
import { cancels, fold } from '../outbox/fold.ts'
import { isActive, sizeOf, type OutboxLimits } from '../outbox/outbox.ts'
import type { RowRef } from '../outbox/row-key.ts'
import { fitsPush, pushBytes, type PushLimits } from '../outbox/select-push.ts'
import { patchToWire, toWire } from '../outbox/wire-value.ts'
import type { OutboxEntry } from '../store/store.ts'
import type { Belongings } from './belongings.ts'
import { systemColumns } from './rebase.ts'
import type { Step } from './step.ts'
import type { CheckedDraft } from './write-draft.ts'

/** Characters that the counter of a write may need: it counts towards `mostMutationLength`. */
const counterRoom = 16

export interface WriteTools {
  readonly newId: () => string
  /** Milliseconds since 1970. */
  readonly now: number
  /** All or nothing, here and on the server. */
  readonly group: boolean
  /** What may wait at once. */
  readonly limits: OutboxLimits
  /** What the server takes in one push, as far as it is known: a group travels in one. */
  readonly push: PushLimits
  /** What belongs to the rows that these drafts delete or restore. */
  readonly belongings: Pick<Belongings, 'takenBy'>
}

/**
 * Turns drafts into writes of the step: optimistic rows, outbox entries, folding. Every row concerned must be known to
 * the step. Answers one entry per draft, in order; drafts that fold share an entry; an entry that is `settled` has
 * ended already, because a delete met an insert that was never sent and both were dropped.
 */
export function planWrite(step: Step, drafts: readonly CheckedDraft[], tools: WriteTools): readonly OutboxEntry[] {
  const { mutations: most } = tools.push
  if (tools.group && drafts.length > most) {
    throw new TideError(
      'message_too_large',
      `A transaction of ${drafts.length} writes is more than the ${most} that can be applied as one.`,
    )
  }
  const group = tools.group && drafts.length > 1 ? { group: tools.newId() } : {}
  const ended = new Map<string, OutboxEntry>()
  const ids = drafts.map((draft) => planDraft(step, draft, tools, group, ended))
  checkRoom(step.outboxSize, tools.limits)
  if (drafts.length > 1 && tools.group) checkGroup(step, ids, tools.push)
  return ids.map((id) => step.entry(id) ?? ended.get(id)).filter((entry) => entry !== undefined)
}

function planDraft(
  step: Step,
  draft: CheckedDraft,
  tools: WriteTools,
  group: { readonly group?: string },
  ended: Map<string, OutboxEntry>,
): string {
  const { table, rowId, op } = draft
  const ref = { table: table.name, rowId }
  const row = step.visible(ref)
  checkRow(draft, row)
  const values = {
    id: tools.newId(),
    clientSeq: 0,
    table: table.name,
    rowId,
    op,
    at: tools.now,
    ...group,
    ...(Object.keys(draft.set).length > 0 ? { set: patchToWire(draft.set) } : {}),
    ...(op === 'increment' ? { inc: draft.inc } : {}),
    ...baseOf(draft, row),
  }
  const dependsOn = dependenciesOf(table, values, (other) => step.pendingOf(other))
  const mutation = dependsOn.length === 0 ? values : { ...values, dependsOn: [...dependsOn] }
  const pending = step.pendingOf(ref).filter(isActive)
  const isReferenced = (id: string): boolean => step.isReferenced(id)
  const [first] = pending
  if (first !== undefined && step.image(ref) === null && cancels(mutation, pending, isReferenced)) {
    step.end(first.mutation.id, 'synced')
    for (const { id } of [first.mutation, mutation]) ended.set(id, endedEntry(first.position, { ...mutation, id }))
    return mutation.id
  }
  const folded = fold(mutation, { last: pending.at(-1), isReferenced, positionOf: (id) => step.entry(id)?.position })
  const takes = tools.belongings.takenBy({ ...ref, op }, row)
  const entry = folded !== null && isSendable(folded, tools.push) ? folded : newEntry(step, mutation, tools.push, takes)
  step.put(entry)
  if (op === 'insert' && row === null) checkHome(table, step.visible(ref))
  return entry.mutation.id
}

function checkRoom({ writes, bytes }: OutboxLimits, limits: OutboxLimits): void {
  if (writes <= limits.writes && bytes <= limits.bytes) return
  throw new TideError(
    'outbox_full',
    `With this write ${writes} of ${bytes} characters would wait to be sent; at most ${limits.writes} of ${limits.bytes} may.`,
  )
}

function newEntry(
  step: Step,
  mutation: OutboxEntry['mutation'],
  limits: PushLimits,
  takes: readonly RowRef[],
): OutboxEntry {
  const entry: OutboxEntry = {
    position: step.nextPosition(),
    status: 'local',
    mutation,
    outcome: null,
    settled: false,
    ...(takes.length === 0 ? {} : { takes }),
  }
  if (isSendable(entry, limits)) return entry
  const bytes = pushBytes([entry])
  throw new TideError(
    'message_too_large',
    `The write to ${mutation.table} ${mutation.rowId} has ${charactersOf(entry)} characters, ${bytes} bytes as it is sent; at most ${mostMutationLength} and ${limits.bytes} can be sent.`,
  )
}

/** What is not is refused here rather than by the server, much later, with everything behind it. */
function isSendable(entry: OutboxEntry, limits: PushLimits): boolean {
  return charactersOf(entry) <= mostMutationLength && fitsPush([entry], limits)
}

function charactersOf(entry: OutboxEntry): number {
  return sizeOf(entry) + counterRoom
}

/** A group goes in one push or not at all. */
function checkGroup(step: Step, ids: readonly string[], limits: PushLimits): void {
  const entries = [...new Set(ids)].flatMap((id) => step.entry(id) ?? [])
  const bytes = pushBytes(entries)
  if (bytes <= limits.bytes) return
  throw new TideError(
    'message_too_large',
    `A transaction of ${entries.length} writes has ${bytes} bytes as it is sent; at most ${limits.bytes} can be applied as one.`,
  )
}

function checkRow({ table, rowId, op }: CheckedDraft, row: Row | null): void {
  const isDeleted = (row?.['deletedAt'] ?? null) !== null
  if (op === 'insert') {
    if (row === null || table.naturalKey !== undefined) return
    if (isDeleted) throw new TideError('row_deleted', `Row ${rowId} of ${table.name} exists and is deleted.`)
    throw new TideError('unique_violated', `${table.name} has a row ${rowId} already.`, {
      remedy: 'Leave the id out, or update the row.',
    })
  }
  if (row === null) throw new TideError('not_found', `${table.name} has no row ${rowId} on this replica.`)
  if (isDeleted && op !== 'restore')
    throw new TideError('row_deleted', `Row ${rowId} of ${table.name} was deleted at ${String(row['deletedAt'])}.`)
  if (op === 'resolve' && row['status'] !== 'open') {
    throw new TideError('conflict_already_resolved', `Conflict ${rowId} is ${String(row['status'])} already.`)
  }
}

/**
 * The values this device saw before the write: of the columns set by a patch, of the whole row for a delete. Vectors,
 * counters and what only the server writes are never merged, so they need none.
 */
function baseOf({ table, op, set, holder }: CheckedDraft, row: Row | null): { readonly base?: Record<string, Json> } {
  const place = holder === undefined ? {} : { id: holder }
  if (row === null || (op !== 'patch' && op !== 'delete')) return holder === undefined ? {} : { base: place }
  const names = op === 'patch' ? Object.keys(set) : Object.keys(table.columns)
  const base = names
    .filter((name) => isMerged(table, name))
    .map((name): [string, Json] => [name, toWire(row[name] ?? null)])
  return base.length === 0 ? {} : { base: { ...Object.fromEntries(base), ...place } }
}

function isMerged(table: TableDescriptor, name: string): boolean {
  const column = table.columns[name]
  if (column === undefined || column.type === 'vector' || systemColumns.has(name)) return false
  return column.class !== 'server' && column.class !== 'counter' && column.class !== 'silent'
}

/** An insert that names no scope could never be shown to anyone: the server would refuse it much later. */
function checkHome(table: TableDescriptor, row: Row | null): void {
  if (row === null || table.direction === 'up') return
  // Before the first welcome the organization is not known yet; any will do to see whether there is a scope.
  channelOf(table, { ...row, organizationId: row['organizationId'] ?? row['id'] ?? null })
}

function endedEntry(position: number, mutation: OutboxEntry['mutation']): OutboxEntry {
  return {
    position,
    status: 'acknowledged',
    settled: true,
    mutation,
    outcome: { mutationId: mutation.id, clientSeq: 0, kind: 'noop' },
  }
}
