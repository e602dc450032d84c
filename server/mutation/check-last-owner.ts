import type { Row } from '../../protocol/rows/row.ts'
import type { SyncedTable } from '../catalog/catalog.ts'
import type { Image } from './authorise.ts'
import { refuse, show, type Refusal } from './refusal.ts'
import type { Workspace } from './workspace.ts'

const table = 'organization_members'

/** Whether the organization still has an owner afterwards. Without one nobody could make another. */
export async function checkLastOwner(
  workspace: Workspace,
  { name }: SyncedTable,
  before: Image | null,
  after: Image,
): Promise<Refusal | undefined> {
  if (name !== table || !endsOwnership(before, after)) return undefined
  const userId = String(after.row['userId'])
  if (await workspace.hasOtherOwner(userId)) return undefined
  const { role, status, deletedAt } = after.row
  const value = `role ${show(role)}, status ${show(status)}${deletedAt === null ? '' : ', deleted'}`
  return refuse(
    'forbidden',
    `${table} cannot make the user ${userId} ${value}: the organization has no other active owner.`,
    'Give another member the role of an owner first.',
  )
}

/** Whether a write takes from somebody that they are an owner of their organization. */
export function endsOwnership(before: Image | null, after: Image): boolean {
  return before !== null && isOwner(before.row) && !isOwner(after.row)
}

function isOwner({ role, status, deletedAt }: Row): boolean {
  return role === 'owner' && status === 'active' && (deletedAt ?? null) === null
}
