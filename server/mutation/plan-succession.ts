import type { Mutation } from '../../protocol/messages/mutation.ts'
import type { Json, Patch, Row } from '../../protocol/rows/row.ts'
import type { SyncedTable } from '../catalog/catalog.ts'
import { authorise } from './authorise.ts'
import { conflictRow, conflictTable, fieldsOf } from './conflict-row.ts'
import type { ConflictKind } from './decision.ts'
import type { Write } from './mutation-store.ts'
import { refuse, type Refusal } from './refusal.ts'
import type { Workspace } from './workspace.ts'

/** A memory closes the one that it supersedes, which is a write to that one too. */
const memoryTable = 'memories'

/** What becomes of the memory that `values` supersede, or why it may not be superseded. */
export type Succession =
  | { readonly kind: 'writes'; readonly writes: readonly Write[] }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

const nothing: Succession = { kind: 'writes', writes: [] }

/**
 * Whoever supersedes a memory hides it from all who see it, so they must be allowed to write it. A memory has one
 * successor: the first that comes. A second one is stored and stays a memory of its own, and is the losing side of a
 * conflict of the older memory. `kind` is that of the conflict which the mutation opens anyway, if any.
 */
export async function planSuccession(
  workspace: Workspace,
  table: SyncedTable,
  mutation: Mutation,
  { values, kind }: { readonly values: Patch; readonly kind: ConflictKind | undefined },
): Promise<Succession> {
  const id = values['supersedesId']
  if (table.name !== memoryTable || typeof id !== 'string') return nothing
  const row = await workspace.row(memoryTable, id)
  if (!row || id === mutation.rowId) return nothing
  const { principal } = workspace
  const change: Patch = { supersededById: mutation.rowId, status: 'superseded' }
  const refusal = authorise({
    table: table.descriptor,
    guards: table.guards,
    principal,
    access: await workspace.access(),
    op: 'patch',
    before: await workspace.image(table, row),
    after: await workspace.image(table, { ...row, ...change }),
  })
  if (refusal) return { kind: 'refused', refusal }
  const standing = row['supersededById']
  if (standing === mutation.rowId) return nothing
  if (typeof standing !== 'string' || (await workspace.target(memoryTable, standing))?.deleted !== false)
    return { kind: 'writes', writes: [{ kind: 'update', table: memoryTable, id, set: change, inc: {} }] }
  const lost = conflictRow({
    principal,
    table: table.descriptor,
    row,
    mutation,
    // A mutation opens one conflict of each kind.
    kind: kind === 'field' ? 'unique' : 'field',
    fields: { supersededById: { base: null, mine: mutation.rowId, theirs: standing } },
  })
  return { kind: 'writes', writes: [{ kind: 'insert', table: conflictTable, values: lost }] }
}

/**
 * What settling for the losing side does to the older memory beside what clients could write themselves: it is
 * superseded by the other successor.
 */
export async function settleSuccession(
  workspace: Workspace,
  table: SyncedTable,
  row: Row,
  conflict: Row,
): Promise<{ readonly set: Patch } | { readonly refusal: Refusal }> {
  const successor: Json | undefined =
    table.name === memoryTable ? fieldsOf(conflict)['supersededById']?.mine : undefined
  if (typeof successor !== 'string') return { set: {} }
  if ((await workspace.target(memoryTable, successor))?.deleted === false)
    return row['supersededById'] === successor
      ? { set: {} }
      : { set: { supersededById: successor, status: 'superseded' } }
  const message = `The memory ${successor}, which would supersede ${String(row['id'])}, is deleted.`
  return { refusal: refuse('foreign_key_violated', message, 'Take the server side, or restore that memory first.') }
}
