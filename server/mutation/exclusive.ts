import type { Mutation } from '../../protocol/messages/mutation.ts'
import type { Patch, Row } from '../../protocol/rows/row.ts'
import type { SyncedTable } from '../catalog/catalog.ts'
import type { Decision, Disagreements } from './decision.ts'
import type { Workspace } from './workspace.ts'

/**
 * A place that one row at a time has (`exclusive` of the table) goes to whom it is given last, as long as the giver
 * knew from whom it is taken: `base.id` is the row that had it as the device saw it, null where none had it. When
 * another row has it by now, the newcomer does not get it, and its flag is the losing side of a conflict of kind
 * `unique`. Devices that say nothing of it take the place, as all did before they could say so.
 */
export async function keepPlace(
  workspace: Workspace,
  { name, descriptor: { exclusive, columns } }: SyncedTable,
  { rowId, base }: Pick<Mutation, 'rowId' | 'base'>,
  row: Row | null,
  decision: Decision,
): Promise<{ readonly decision: Decision; readonly lost: Disagreements }> {
  const none = { decision, lost: {} }
  if (exclusive === undefined || base === undefined || !('id' in base)) return none
  const { flag, by } = exclusive
  const values = givenBy(decision)
  if (values?.[flag] !== true) return none
  const { organizationId } = workspace.principal
  const key = by.map((property) => values[property] ?? row?.[property] ?? columns[property]?.default ?? null)
  const holder = await workspace.holder(name, exclusive, { organizationId, key, except: rowId })
  if (holder === null || holder === base['id']) return none
  const lost = { [flag]: { base: row?.[flag] ?? false, mine: true, theirs: false } }
  return { decision: without(decision, flag, lost), lost }
}

function givenBy(decision: Decision): Patch | undefined {
  if (decision.kind === 'insert') return decision.values
  if (decision.kind === 'update') return decision.set
  return decision.kind === 'conflict' ? decision.apply : undefined
}

function without(decision: Decision, flag: string, lost: Disagreements): Decision {
  const others = (values: Patch): Patch => Object.fromEntries(Object.entries(values).filter(([name]) => name !== flag))
  switch (decision.kind) {
    case 'insert':
      return { ...decision, values: { ...decision.values, [flag]: false } }
    case 'conflict':
      return { ...decision, apply: others(decision.apply), fields: { ...decision.fields, ...lost } }
    case 'update': {
      const { set, texts, ignored } = decision
      const ofTexts = texts ? { texts } : {}
      return { kind: 'conflict', conflict: 'unique', apply: others(set), fields: lost, ...ofTexts, ignored }
    }
    case 'noop':
    case 'rejected':
      return decision
  }
}
