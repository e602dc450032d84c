import type { Seq } from '../../protocol/seq.ts'
import type { Homes } from '../scope/homes.ts'
import type { FoldedKey } from './fold.ts'

/** What hangs under a parent was moved by one log entry of the parent, or came to or went from a guest by one grant. */
export interface Rehang {
  /** `conversation/<id>`; `project/<id>` or `project_members/<id>` where only the row itself has guests. */
  readonly name: string
  readonly seq: Seq
  readonly organizationId: string | null
  /** Channels under which it may newly be found, and may no longer. What holds is decided by where it hangs now. */
  readonly entered: readonly string[]
  readonly left: readonly string[]
}

/** Finds the parents that moved and the guests that came or went; one per parent. */
export function findRehangs(
  keys: readonly FoldedKey[],
  homes: Pick<Homes, 'kindOf' | 'isParent' | 'grantedBy'>,
): readonly Rehang[] {
  const found = new Map<string, { seq: Seq; organizationId: string | null; entered: string[]; left: string[] }>()
  const at = (
    name: string,
    { seq, organizationId }: FoldedKey,
  ): { readonly entered: string[]; readonly left: string[] } => {
    const rehang = found.get(name) ?? { seq, organizationId, entered: [], left: [] }
    if (seq > rehang.seq) rehang.seq = seq
    found.set(name, rehang)
    return rehang
  }
  for (const key of keys) {
    const current = key.channels.at(-1) ?? ''
    const naming = homes.grantedBy(key.table)
    if (naming !== undefined) {
      // The log has the guest as `channel` and what it is a guest of as `old_channel`.
      const name = key.channels.find((channel) => channel !== current)
      // The row that names the guest may be shared with it as well.
      const own = homes.kindOf(naming)
      for (const shared of [name, own && `${own}/${key.id}`]) {
        if (shared === undefined) continue
        const rehang = at(shared, key)
        rehang.entered.push(current)
        rehang.left.push(current)
      }
      continue
    }
    const kind = homes.kindOf(key.table)
    if (kind === undefined || (key.channels.length < 2 && !key.deleted)) continue
    const name = `${kind}/${key.id}`
    if (!homes.isParent(name)) continue
    const rehang = at(name, key)
    rehang.entered.push(current)
    rehang.left.push(...key.channels)
  }
  return [...found].map(([name, rehang]) => ({ name, ...rehang }))
}
