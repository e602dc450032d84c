import type { Json, Row } from '../../protocol/rows/row.ts'
import type { Effect } from '../outbox/effect.ts'
import type { RowRef } from '../outbox/row-key.ts'
import { toConflict } from './conflict.ts'

/** The row that a conflict is about; null when the conflict is unknown here. */
export function targetOf(conflict: Row | null): RowRef | null {
  if (conflict === null) return null
  const { table, rowId } = toConflict(conflict)
  return table === '' || rowId === '' ? null : { table, rowId }
}

/**
 * What a `resolve` does to the row concerned, as it will look when the server has settled it: taking the server's side
 * changes nothing, the client's side lays the losing values on, a manual patch its own. Where the row was deleted on
 * one side, taking the client's means that side's wish.
 */
export function resolutionEffects(resolve: Effect, conflict: Row | null): readonly Effect[] {
  if (conflict === null) return []
  const { rowId, kind, mine, base } = toConflict(conflict)
  const effect = (op: Effect['op'], set?: Readonly<Record<string, Json>>): Effect => ({
    op,
    rowId,
    at: resolve.at,
    ...(set === undefined ? {} : { set }),
  })
  const take = resolve.set?.['take']
  const patch = resolve.set?.['patch']
  if (take === 'client' && kind === 'update_delete') return [effect('delete')]
  const values = take === 'client' ? mine : take === 'manual' && isObject(patch) ? patch : null
  if (values === null) return []
  const patched = { ...effect('patch', values), ...(take === 'client' ? { losingFrom: base } : {}) }
  return kind === 'delete_update' ? [effect('restore'), patched] : [patched]
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
