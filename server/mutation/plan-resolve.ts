import { resolutionSchema, type Mutation } from '../../protocol/messages/mutation.ts'
import type { Patch } from '../../protocol/rows/row.ts'
import { authorise, isVisible } from './authorise.ts'
import { checkDocuments } from './check-documents.ts'
import { checkLastOwner } from './check-last-owner.ts'
import { checkReferences } from './check-references.ts'
import { checkSubjects } from './check-subjects.ts'
import { conflictTable, patchToJson } from './conflict-row.ts'
import { guestOf } from './guest.ts'
import type { Write } from './mutation-store.ts'
import { takenOutcome } from './outcome.ts'
import { answeredPlan, cascadesOf, refusedPlan, type MutationTime, type Plan } from './plan.ts'
import { settleSuccession } from './plan-succession.ts'
import { refuse, show } from './refusal.ts'
import { resolveConflict } from './resolve-conflict.ts'
import type { Workspace } from './workspace.ts'

/**
 * Settles a conflict and changes its row in one step. Whoever may write the row may settle; the conflict's own
 * principal may give in (`server`) even without that right.
 */
export async function planResolve(workspace: Workspace, mutation: Mutation, moment: MutationTime): Promise<Plan> {
  const { principal } = workspace
  const conflict = await workspace.row(conflictTable, mutation.rowId)
  const notFound = refusedPlan(
    mutation,
    refuse('not_found', `There is no conflict ${mutation.rowId} that is visible here.`),
  )
  if (mutation.table !== conflictTable || conflict?.['organizationId'] !== principal.organizationId) return notFound
  const parsed = resolutionSchema.safeParse(mutation.set)
  if (!parsed.success)
    return refusedPlan(
      mutation,
      refuse(
        'invalid_value',
        `${show(mutation.set)} is no resolution.`,
        'Send { take: client }, { take: server } or { take: manual, patch }.',
      ),
    )
  const resolution = parsed.data

  const isOwn = conflict[principal.kind === 'user' ? 'userId' : 'agentId'] === principal.id
  const table = workspace.table(String(conflict['tableName']))
  const row = table ? await workspace.row(table.name, String(conflict['rowId'])) : null
  const access = await workspace.access()
  const before = table && row ? await workspace.image(table, row) : null
  if (!isOwn && !(before && isVisible(access, before))) return notFound
  if (conflict['status'] !== 'open') {
    const same = conflict['resolution'] === resolution.take && resolution.take !== 'manual'
    if (same) return answeredPlan(takenOutcome(mutation, 'noop', conflict))
    return refusedPlan(
      mutation,
      refuse('conflict_already_resolved', `Conflict ${mutation.rowId} was settled as ${show(conflict['resolution'])}.`),
    )
  }

  const writes: Write[] = []
  let settlement: Patch = {}
  if (!(isOwn && resolution.take === 'server')) {
    if (!table || !before)
      return refusedPlan(
        mutation,
        refuse('not_found', `The row of conflict ${mutation.rowId} is gone.`, 'Take the server side.'),
      )
    const deletedAt = new Date(moment.deleteTime()).toISOString()
    const result = resolveConflict({ table: table.descriptor, row: before.row, conflict, resolution, deletedAt })
    if (result.kind === 'refused') return refusedPlan(mutation, result.refusal)
    const succession = resolution.take === 'client' && (await settleSuccession(workspace, table, before.row, conflict))
    if (succession && 'refusal' in succession) return refusedPlan(mutation, succession.refusal)
    settlement = { ...result.set, ...(succession ? succession.set : {}) }
    const after = await workspace.image(table, { ...before.row, ...settlement })
    const guest = await guestOf(workspace, table, before)
    const writing = { table: table.descriptor, guards: table.guards, principal, access, guest }
    const refusal =
      checkDocuments(table.name, settlement) ??
      (await checkReferences(workspace, table, settlement, after)) ??
      (await checkSubjects(workspace, table, settlement, after)) ??
      authorise({ ...writing, op: 'patch', before, after }) ??
      (await checkLastOwner(workspace, table, before, after))
    if (refusal) return refusedPlan(mutation, refusal)
    if (Object.keys(settlement).length > 0)
      writes.push({ kind: 'update', table: table.name, id: String(before.row['id']), set: settlement, inc: {} })
  }
  writes.push({
    kind: 'update',
    table: conflictTable,
    id: mutation.rowId,
    set: closing(workspace, resolution.take, settlement, moment),
    inc: {},
  })
  const cascades = table ? cascadesOf(table, row, settlement) : []
  return { kind: 'writes', writes, cascades, settle: (rows) => takenOutcome(mutation, 'applied', rows.at(-1)) }
}

function closing({ principal }: Workspace, take: string, settlement: Patch, { now }: MutationTime): Patch {
  return {
    status: 'resolved',
    resolution: take,
    resolvedPatch: patchToJson(settlement),
    [principal.kind === 'user' ? 'resolvedByUserId' : 'resolvedByAgentId']: principal.id,
    resolvedAt: new Date(now).toISOString(),
  }
}
