import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import type { SyncedTable } from '../catalog/catalog.ts'
import { isGuest, participantTable, type Image } from './authorise.ts'
import type { Guest } from './guards.ts'
import type { Workspace } from './workspace.ts'

/** What the principal is in the conversation of a row; undefined where it may write there otherwise than as a guest. */
export async function guestOf(
  workspace: Workspace,
  { descriptor: { scope } }: SyncedTable,
  image: Image,
): Promise<Guest | undefined> {
  const { principal } = workspace
  const id = scope.kind === 'via' && scope.parent === 'conversations' ? image.row[scope.column] : undefined
  if (typeof id !== 'string' || !isGuest(await workspace.access(), principal, image)) return undefined
  const names = principal.kind === 'user' ? [principal.id, null] : [null, principal.id]
  const place = await workspace.row(participantTable, uuidFromKey(participantTable, [id, ...names]))
  // Only rows that SQL made have another id.
  return { role: String(place?.['role'] ?? 'participant') }
}
