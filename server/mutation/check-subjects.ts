import type { Patch } from '../../protocol/rows/row.ts'
import type { SyncedTable } from '../catalog/catalog.ts'
import { isVisible, type Image } from './authorise.ts'
import { refuse, show, type Refusal } from './refusal.ts'
import type { Workspace } from './workspace.ts'

/**
 * References without a foreign key, whose table is named by another column: what they name must exist and be visible to
 * the writer. It may be deleted: what happened to a row can be told after its end. A type that names no synced table is
 * the application's own.
 */
export async function checkSubjects(
  workspace: Workspace,
  table: SyncedTable,
  values: Patch,
  after: Image,
): Promise<Refusal | undefined> {
  for (const { type, id: property } of table.polymorphic) {
    if (values[type] === undefined && values[property] === undefined) continue
    const id = after.row[property]
    const target = targetOf(workspace, after.row[type])
    if (typeof id !== 'string' || target === undefined) continue
    const found = await workspace.target(target, id)
    if (found && isVisible(await workspace.access(), { row: {}, homes: found.homes })) continue
    return refuse(
      'foreign_key_violated',
      `${table.name}.${property} refers to ${id} of ${target}, which does not exist or is not visible here.`,
    )
  }
  return undefined
}

/** Types are named in the singular, or as the table is. */
function targetOf({ catalog }: Workspace, type: unknown): string | undefined {
  if (typeof type !== 'string') return undefined
  const names = [type, type.endsWith('y') ? `${type.slice(0, -1)}ies` : `${type}s`]
  // Logs have no channel, and are seen by nobody.
  return names.find((name) => (catalog.synced.get(name)?.direction ?? 'up') !== 'up')
}

/** No policy is shorter, by far most rows are younger, and asking costs a statement. Milliseconds. */
const askAfterMs = 24 * 3_600_000

/** What is older than its log is kept would be gone the next night: its writer had better know. */
export async function checkAge(
  workspace: Workspace,
  table: SyncedTable,
  values: Patch,
  now: number,
): Promise<Refusal | undefined> {
  const occurredAt = values['occurredAt']
  if (table.direction !== 'up' || typeof occurredAt !== 'string') return undefined
  const age = now - Date.parse(occurredAt)
  if (age < askAfterMs) return undefined
  const keeps = await workspace.keepsFor(table.name)
  if (keeps === null || age <= keeps) return undefined
  return refuse(
    'invalid_value',
    `${table.name}.occurredAt is ${show(occurredAt)}, and rows of ${table.name} are kept for ${Math.round(keeps / 86_400_000)} days.`,
    "Correct the device's clock, or leave the row out: it would be deleted at once.",
  )
}
