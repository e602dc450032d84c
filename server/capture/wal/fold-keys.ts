import type { CapturedKey } from './captured-commit.ts'

/**
 * Several changes of one row in one transaction become its last one, with the channel that followers knew before the
 * transaction as the old one. A row that was born and deleted within it was never there. Of a row that was deleted and
 * put in again both are kept: the new row has the first version like one that nobody has seen, and its followers have
 * the old one. The same fold in SQL is in `sync.close_commit` (trigger capture). Transactions too big for memory are
 * logged as they are, and folded by their readers.
 */
export function foldKeys(keys: readonly CapturedKey[]): readonly CapturedKey[] {
  if (keys.length === 1) return keys
  const folded = new Map<string, Folded>()
  for (const key of keys) {
    const place = placeOf(key)
    const known = folded.get(place)
    // Taken out and put in again: keys come in the order of their last change.
    if (known) folded.delete(place)
    const last = known && key.organizationId === null ? { ...key, organizationId: known.last.organizationId } : key
    folded.set(place, {
      first: known?.first ?? key,
      last,
      deleted: known?.last.op === 'delete' ? known.last : known?.deleted,
    })
  }
  return [...folded.values()].flatMap(outcome)
}

interface Folded {
  readonly first: CapturedKey
  readonly last: CapturedKey
  /** The newest delete before the last key. */
  readonly deleted: CapturedKey | undefined
}

function outcome({ first, last, deleted }: Folded): readonly CapturedKey[] {
  if (first === last) return [first]
  if (first.born && last.op === 'delete') return []
  const whole = { ...last, born: first.born, oldChannel: left(first, last) }
  if (first.born || !deleted || last.op === 'delete') return [whole]
  return [{ ...deleted, channel: first.oldChannel ?? first.channel, oldChannel: null }, whole]
}

function left(first: CapturedKey, last: CapturedKey): string | null {
  const before = first.oldChannel ?? first.channel
  return first.born || before === last.channel ? null : before
}

function placeOf({ op, table, rowId, origin }: CapturedKey): string {
  if (op === 'mark') return `mark ${table} ${rowId ?? ''} ${origin.mutation_id ?? ''}`
  return `${op === 'reset' ? 'reset' : 'row'} ${table} ${rowId ?? ''}`
}
