import type { Mutation } from '../../protocol/messages/mutation.ts'

/** What a write does to one row, as far as the replica can tell before the server has. */
export type Effect = Pick<Mutation, 'op' | 'rowId' | 'set' | 'inc' | 'at'>
