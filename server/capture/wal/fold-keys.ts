import type { CapturedKey } from './captured-commit.ts'

/**
 * Several changes of one row in one transaction become its last one, with the channel that followers knew before the
 * transaction as the old one; a row that was born and deleted within it was never there. The same fold in SQL is in
 * `sync.close_commit` (trigger capture). Transactions too big for memory are logged as they are, and folded by their readers.
 */
export function foldKeys(keys: readonly CapturedKey[]): readonly CapturedKey[] {
  if (keys.length === 1) return keys
  const folded = new Map<string, { readonly first: CapturedKey; last: CapturedKey }>()
  for (const key of keys) {
    const place = placeOf(key)
    const known = folded.get(place)
    // Taken out and put in again: keys come in the order of their last change.
    if (known) folded.delete(place)
    const last = known && key.organizationId === null ? { ...key, organizationId: known.last.organizationId } : key
    folded.set(place, { first: known?.first ?? key, last })
  }
  const result: CapturedKey[] = []
  for (const { first, last } of folded.values()) {
    if (first === last) result.push(first)
    else if (!(first.born && last.op === 'delete'))
      result.push({ ...last, born: first.born, oldChannel: left(first, last) })
  }
  return result
}

function left(first: CapturedKey, last: CapturedKey): string | null {
  const before = first.oldChannel ?? first.channel
  return first.born || before === last.channel ? null : before
}

function placeOf({ op, table, rowId, origin }: CapturedKey): string {
  if (op === 'mark') return `mark ${table} ${rowId ?? ''} ${origin.mutation_id ?? ''}`
  return `${op === 'reset' ? 'reset' : 'row'} ${table} ${rowId ?? ''}`
}
