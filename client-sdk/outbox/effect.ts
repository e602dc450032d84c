import type { Mutation } from '../../protocol/messages/mutation.ts'
import type { Json } from '../../protocol/rows/row.ts'

/** What a write does to one row, as far as the replica can tell before the server has. */
export interface Effect extends Pick<Mutation, 'op' | 'rowId' | 'set' | 'inc' | 'at'> {
  /**
   * Of the losing side of a conflict that is taken: what it started from, by column. Of objects and sets only what that
   * side had changed is laid on.
   */
  readonly losingFrom?: Readonly<Record<string, Json>>
}
