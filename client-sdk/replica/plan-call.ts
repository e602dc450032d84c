import type { ReplicaStore } from '../store/store.ts'
import { Belongings } from './belongings.ts'
import { entriesOf, isDone, withCaller } from './callers.ts'
import { checkDraft } from './check-draft.ts'
import { knowDrafts } from './know-rows.ts'
import { withHolder } from './holder.ts'
import type { Mirror } from './mirror.ts'
import { planWrite, type WriteTools } from './plan-write.ts'
import type { WriteOptions } from './replica-options.ts'
import type { Step } from './step.ts'
import type { WriteDraft, Written } from './write-draft.ts'
import { writtenOf } from './written.ts'

/**
 * One call of a writer: checks its drafts, reads the rows that they touch, and makes them writes of the step. A call
 * that was carried out before answers what it then made, as far as that is still here.
 */
export async function planCall(
  step: Step,
  mirror: Mirror,
  store: ReplicaStore,
  drafts: readonly WriteDraft[],
  { group = false, caller, ...tools }: WriteOptions & Omit<WriteTools, 'group' | 'belongings'>,
): Promise<readonly Written[]> {
  const { tables, meta } = mirror
  const given = drafts.map((draft) =>
    checkDraft(draft, { tables, newId: tools.newId, organizationId: meta.organizationId }),
  )
  await knowDrafts(step, store, given)
  const checked = await Promise.all(given.map((draft) => withHolder(step, store, draft)))
  if (caller !== undefined && isDone(meta, caller))
    return writtenOf(step, checked, entriesOf(mirror, checked), tools.now)
  if (caller !== undefined) step.setMeta({ callers: withCaller(meta, caller) })
  const belongings = await Belongings.read(step, tables, store, checked)
  return writtenOf(step, checked, planWrite(step, checked, { ...tools, group, belongings }), tools.now)
}
