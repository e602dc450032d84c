import type { Patch } from '../../protocol/rows/row.ts'
import type { SyncedTable } from '../catalog/catalog.ts'
import { isVisible, type Image } from './authorise.ts'
import { refuse, type Refusal } from './refusal.ts'
import type { Workspace } from './workspace.ts'

/**
 * Every row that is newly referred to must exist, be visible to the writer and not be deleted; a row that comes back
 * must not have a deleted parent.
 */
export async function checkReferences(
  workspace: Workspace,
  table: SyncedTable,
  values: Patch,
  after: Image,
): Promise<Refusal | undefined> {
  const access = await workspace.access()
  const restored = values['deletedAt'] === null
  for (const key of table.foreignKeys) {
    const { property, table: target, author } = key
    const isParent = restored && key.belongs
    const id = isParent ? after.row[property] : values[property]
    if (typeof id !== 'string' || author || property === 'organizationId') continue
    const found = await workspace.target(target, id)
    if (!found || !(isParent || isVisible(access, { row: {}, homes: found.homes }))) {
      return refuse(
        'foreign_key_violated',
        `${table.name}.${property} refers to ${id} of ${target}, which does not exist or is not visible here.`,
      )
    }
    if (found.deleted)
      return refuse(
        'foreign_key_violated',
        `${table.name}.${property} refers to ${id} of ${target}, which is deleted.`,
        'Restore that row first, or refer to another.',
      )
  }
  return undefined
}
