import { channelOf } from '../../protocol/rows/channel.ts'
import { takeLosing } from '../../protocol/rows/merge-values.ts'
import type { Row, Value } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { Effect } from '../outbox/effect.ts'
import { patchFromWire } from '../outbox/wire-value.ts'

/** Who writes: fills the columns of a new row that the server will fill in the same way. */
export interface Author {
  readonly organizationId: string | null
  readonly principal: { readonly kind: 'user' | 'agent'; readonly id: string } | null
}

/**
 * The row as the user sees it: what the server last said, with the writes under way laid over it in call order. Null:
 * there is nothing to show. Pure, and the only place where the effect of a write on a row is defined, so that a replica
 * shows the same whether it applied writes one by one, after a batch, or after a restart.
 */
export function visibleRow(
  table: TableDescriptor,
  serverImage: Row | null,
  effects: readonly Effect[],
  author: Author,
): Row | null {
  return effects.reduce<Row | null>((row, effect) => applyEffect(table, row, effect, author), serverImage)
}

/** One write over one row. */
export function applyEffect(table: TableDescriptor, row: Row | null, effect: Effect, author: Author): Row | null {
  if (effect.op === 'insert') return row === null ? newRow(table, effect, author) : readded(table, row, effect)
  if (row === null) return null
  switch (effect.op) {
    case 'patch':
      return { ...row, ...touched(table, effect), ...patched(table, row, effect) }
    case 'increment':
      return { ...row, ...touched(table, effect), ...incremented(row, effect.inc ?? {}) }
    case 'delete':
      return 'deletedAt' in table.columns ? { ...row, deletedAt: isoTime(effect.at) } : null
    case 'restore':
      return { ...row, ...patchFromWire(table, effect.set ?? {}), deletedAt: null }
    case 'resolve':
      return { ...row, ...touched(table, effect), ...resolved(effect) }
  }
}

/** Columns whose value comes from the replica or the server, never from the caller. */
export const systemColumns: ReadonlySet<string> = new Set([
  'id',
  'organizationId',
  'channel',
  'version',
  'createdAt',
  'updatedAt',
  'deletedAt',
  'originDeviceId',
])

function patched(table: TableDescriptor, row: Row, { set = {}, losingFrom }: Effect): Record<string, Value> {
  const values = patchFromWire(table, set)
  if (losingFrom === undefined) return values
  const taken = Object.entries(values).map(([name, mine]) => {
    const type = table.columns[name]?.type
    return [name, type === undefined ? mine : takeLosing(type, losingFrom[name] ?? null, mine, row[name] ?? null)]
  })
  return Object.fromEntries(taken) as Record<string, Value>
}

/** A row nobody but this device knows yet: version 0, columns that were not given as the server will fill them. */
function newRow(table: TableDescriptor, effect: Effect, author: Author): Row {
  const row: Record<string, Value> = {}
  for (const [name, column] of Object.entries(table.columns)) row[name] = column.default ?? null
  const fill = (name: string, value: Value): void => {
    if (name in table.columns) row[name] = value
  }
  fill('id', effect.rowId)
  fill('organizationId', author.organizationId)
  fill('version', 0)
  fill('createdAt', isoTime(effect.at))
  fill('updatedAt', isoTime(effect.at))
  if (author.principal?.kind === 'user') fill('createdByUserId', author.principal.id)
  if (author.principal?.kind === 'agent') fill('createdByAgentId', author.principal.id)
  Object.assign(row, patchFromWire(table, effect.set ?? {}))
  fill('channel', homeOf(table, row))
  return row
}

/** An insert over a row that exists: set-like tables bring a removed row back under the same id. */
function readded(table: TableDescriptor, row: Row, effect: Effect): Row {
  const revived = 'deletedAt' in table.columns ? { deletedAt: null } : {}
  return { ...row, ...touched(table, effect), ...patchFromWire(table, effect.set ?? {}), ...revived }
}

function touched(table: TableDescriptor, effect: Effect): Record<string, Value> {
  return 'updatedAt' in table.columns ? { updatedAt: isoTime(effect.at) } : {}
}

function incremented(row: Row, amounts: Readonly<Record<string, number>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, plus(row[name] ?? 0, amount)]))
}

/** Counters too precise for a number are decimal strings; the sum shown until the server's comes may be rounded. */
function plus(value: Value, amount: number): Value {
  if (typeof value === 'string') return String(Number(value) + amount)
  return typeof value === 'number' ? value + amount : amount
}

/** How a row of sync_conflicts looks once it is settled. */
function resolved(effect: Effect): Record<string, Value> {
  const take = effect.set?.['take']
  const patch = effect.set?.['patch']
  return {
    status: 'resolved',
    resolution: take ?? null,
    resolvedPatch: patch ?? null,
    resolvedAt: isoTime(effect.at),
  }
}

function homeOf(table: TableDescriptor, row: Row): Value {
  try {
    return channelOf(table, row)
  } catch {
    // A schema newer than the write may need a scope that the write does not name: the server will refuse it.
    return null
  }
}

export function isoTime(at: number): string {
  return new Date(at).toISOString()
}
