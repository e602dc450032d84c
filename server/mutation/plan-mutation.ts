import { isRowId, uuidTime } from '../../lib/uuid.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { TideError } from '../../protocol/error.ts'
import { mostMutationLength } from '../../protocol/limits.ts'
import type { Mutation } from '../../protocol/messages/mutation.ts'
import type { Patch, Row, Value } from '../../protocol/rows/row.ts'
import type { SyncedTable } from '../catalog/catalog.ts'
import { describeScopes, mayPush } from '../scope/token-scopes.ts'
import { authorise, isVisible, type Image } from './authorise.ts'
import { checkDocuments } from './check-documents.ts'
import { checkLastOwner } from './check-last-owner.ts'
import { checkReferences } from './check-references.ts'
import { conflictId, conflictRow, conflictTable, extendConflict, fieldsOf, joinConflict } from './conflict-row.ts'
import { decide } from './decide.ts'
import type { Decision, Disagreements } from './decision.ts'
import type { Write } from './mutation-store.ts'
import { keepPlace } from './exclusive.ts'
import { guestOf } from './guest.ts'
import { conflictOutcome, takenOutcome } from './outcome.ts'
import { answeredPlan, cascadesOf, refusedPlan, type MutationTime, type Plan } from './plan.ts'
import { planResolve } from './plan-resolve.ts'
import { planSuccession } from './plan-succession.ts'
import { checkAge, checkSubjects } from './check-subjects.ts'
import { refuse, show, type Refusal } from './refusal.ts'
import type { Workspace } from './workspace.ts'

/** Ids and dates may be this far ahead of the server's clock. */
const maxAheadMs = 24 * 3_600_000

/** Decides and authorises one mutation against the state of the workspace. Writes nothing. */
export async function planMutation(workspace: Workspace, mutation: Mutation, moment: MutationTime): Promise<Plan> {
  try {
    if (!mayPush(workspace.principal))
      return refusedPlan(
        mutation,
        refuse('forbidden', `The connection may not write: ${describeScopes(workspace.principal)}.`),
      )
    const table = workspace.table(mutation.table)
    if (!table)
      return refusedPlan(mutation, refuse('unknown_table', `There is no synced table ${show(mutation.table)}.`))
    const wrong = checkForm(table, workspace, mutation, moment.now)
    if (wrong) return refusedPlan(mutation, wrong)
    if (mutation.op === 'resolve') return await planResolve(workspace, mutation, moment)
    if (mutation.op === 'delete' && isRoot(table))
      return refusedPlan(
        mutation,
        refuse('forbidden', `A row of ${table.name} is closed by the server, never deleted by a client.`),
      )
    if (table.name === conflictTable)
      return refusedPlan(mutation, refuse('forbidden', 'Clients change conflicts only by resolving them.'))
    return await planWrite(workspace, table, mutation, moment)
  } catch (error) {
    if (error instanceof TideError) return refusedPlan(mutation, error)
    throw error
  }
}

function checkForm(table: SyncedTable, { principal }: Workspace, mutation: Mutation, now: number): Refusal | undefined {
  const { id, rowId, set, at } = mutation
  for (const [what, value] of [
    ['mutation', id],
    ['row', rowId],
  ] as const) {
    if (!isRowId(value))
      return refuse('invalid_value', `The id ${show(value)} of the ${what} is no UUID of version 7 or 8.`)
    if (value[14] === '7' && uuidTime(value) > now + maxAheadMs) {
      return refuse(
        'invalid_value',
        `The id ${value} of the ${what} is more than 24 hours ahead of the server.`,
        "Correct the device's clock.",
      )
    }
  }
  if (at > now + maxAheadMs)
    return refuse(
      'invalid_value',
      `The mutation is dated ${at} ms since 1970, more than 24 hours ahead of the server.`,
      "Correct the device's clock.",
    )
  if (id[14] !== '7') return refuse('invalid_value', `The id ${id} of the mutation is not of version 7.`)
  const length = JSON.stringify(mutation).length
  if (length > mostMutationLength)
    return refuse('invalid_value', `The mutation has ${length} characters, at most ${mostMutationLength} fit.`)
  if (mutation.op !== 'insert' || !set) return undefined
  const { naturalKey } = table.descriptor
  if (!naturalKey)
    return rowId[14] === '7'
      ? undefined
      : refuse('invalid_value', `The id ${rowId} of a row of ${table.name} is not of version 7.`)
  const key = naturalKey.map((property) =>
    property === 'organizationId' ? principal.organizationId : (set[property] ?? null),
  )
  // A part of the key may be null, which is written as JSON writes it.
  const expected = uuidFromKey(table.name, key as readonly string[])
  return rowId === expected
    ? undefined
    : refuse(
        'invalid_value',
        `The id of a row of ${table.name} follows from ${naturalKey.join(', ')}: it must be ${expected}, not ${rowId}.`,
      )
}

/** An organization or an account: what everything else hangs on. */
function isRoot({ descriptor: { scope } }: SyncedTable): boolean {
  return scope.kind === 'columns' && scope.columns.some(({ column }) => column === 'id')
}

async function planWrite(
  workspace: Workspace,
  table: SyncedTable,
  mutation: Mutation,
  moment: MutationTime,
): Promise<Plan> {
  const { principal } = workspace
  const access = await workspace.access()
  const found = await workspace.row(table.name, mutation.rowId)
  const before = found ? await workspace.image(table, found) : null
  if (before && !isVisible(access, before)) return refusedPlan(mutation, hidden(table, mutation))
  const row = before?.row ?? null
  const open = row && mutation.op === 'patch' ? await workspace.openConflicts(table.name, mutation.rowId) : []
  const { joined, rest, conflict } = join(table, mutation, row, open)
  const ownRow = row !== null && row['originDeviceId'] === principal.deviceId
  const decided = decide({
    table: table.descriptor,
    row,
    mutation: rest,
    now: mutation.op === 'delete' ? moment.deleteTime() : moment.now,
    ownRow,
  })
  const { decision, lost } = await keepPlace(workspace, table, rest, row, decided)
  if (decision.kind === 'rejected') return refusedPlan(mutation, decision.error)
  if (decision.kind === 'noop' && !conflict) return answeredPlan(takenOutcome(mutation, 'noop', row, decision.ignored))

  const values =
    decision.kind === 'insert' ? stamp(workspace, table, mutation, decision.values, moment.now) : changesOf(decision)
  const after = await imageAfter(workspace, table, before, values)
  const guest = await guestOf(workspace, table, before ?? after)
  const writing = { table: table.descriptor, guards: table.guards, principal, access, guest }
  const refusal =
    checkDocuments(table.name, values) ??
    (await checkReferences(workspace, table, values, after)) ??
    (await checkSubjects(workspace, table, values, after)) ??
    (await checkAge(workspace, table, values, moment.now)) ??
    authorise({ ...writing, op: mutation.op, before, after }) ??
    (await checkLastOwner(workspace, table, before, after))
  if (refusal) return refusedPlan(mutation, refusal)
  const kindOfConflict = decision.kind === 'conflict' ? decision.conflict : conflict ? 'field' : undefined
  const succession = await planSuccession(workspace, table, mutation, { values, kind: kindOfConflict })
  if (succession.kind === 'refused') return refusedPlan(mutation, succession.refusal)

  const write = toWrite(table, mutation, decision, values)
  const writes = write ? [write, ...succession.writes] : []
  if (!row && Object.keys(lost).length > 0) {
    const made = { ...after.row, channel: after.homes[0] ?? null }
    const content = { principal, table: table.descriptor, row: made, mutation, kind: 'unique', fields: lost } as const
    writes.push({ kind: 'insert', table: conflictTable, values: conflictRow(content) })
  }
  if (row && (conflict || decision.kind === 'conflict')) {
    return conflictPlan({ workspace, table, mutation, row, decision, joined, conflict, open, writes })
  }
  const kind = decision.kind === 'update' && decision.merged ? 'merged' : 'applied'
  return {
    kind: 'writes',
    writes,
    cascades: cascadesOf(table, row, values),
    settle: ([stored]) => takenOutcome(mutation, kind, stored, decision.ignored),
  }
}

/** Finds the open conflict whose losing values the mutation builds upon. */
function join(table: SyncedTable, mutation: Mutation, row: Row | null, open: readonly Row[]) {
  for (const conflict of row ? open : []) {
    const joining = joinConflict(table.descriptor, mutation, row ?? {}, conflict)
    if (Object.keys(joining.joined).length > 0) return { ...joining, conflict }
  }
  const none: Disagreements = {}
  return { joined: none, rest: mutation, conflict: undefined }
}

interface ConflictParts {
  readonly workspace: Workspace
  readonly table: SyncedTable
  readonly mutation: Mutation
  readonly row: Row
  readonly decision: Decision
  readonly joined: Disagreements
  readonly conflict: Row | undefined
  readonly open: readonly Row[]
  readonly writes: readonly Write[]
}

/**
 * What overlaps goes to a conflict: one of this device that is open and has other columns, else a new one. No losing
 * value takes the place of another but one that builds upon it.
 */
function conflictPlan({
  workspace,
  table,
  mutation,
  row,
  decision,
  joined,
  conflict,
  open,
  writes,
}: ConflictParts): Plan {
  const { principal } = workspace
  const fields: Disagreements = decision.kind === 'conflict' ? decision.fields : {}
  const kind = decision.kind === 'conflict' ? decision.conflict : 'field'
  const isNew = Object.keys(fields).length > 0
  const own = open.filter((candidate) => candidate['kind'] === kind && candidate['deviceId'] === principal.deviceId)
  const target = [...(conflict ? [conflict] : []), ...own].find((candidate) => !overlaps(fields, candidate))
  const added: Write[] = []
  const extend = (existing: Row, more: Disagreements): void =>
    void added.push({
      kind: 'update',
      table: conflictTable,
      id: String(existing['id']),
      set: extendConflict(existing, row, more),
      inc: {},
    })
  if (conflict) extend(conflict, target === conflict ? { ...joined, ...fields } : joined)
  if (isNew && target && target !== conflict) extend(target, fields)
  if (isNew && !target)
    added.push({
      kind: 'insert',
      table: conflictTable,
      values: conflictRow({ principal, table: table.descriptor, row, mutation, kind, fields }),
    })
  const home = isNew ? target : conflict
  const id = home ? String(home['id']) : conflictId(mutation, kind)
  const columns = [...Object.keys(joined), ...Object.keys(fields), ...decision.ignored]
  return {
    kind: 'writes',
    writes: [...writes, ...added],
    cascades: [],
    settle: (rows) => conflictOutcome(mutation, writes.length > 0 ? rows[0] : row, id, columns),
  }
}

function overlaps(fields: Disagreements, conflict: Row): boolean {
  return Object.keys(fieldsOf(conflict)).some((column) => Object.hasOwn(fields, column))
}

/** The insert with what the server adds: whose it is, who made it, where. */
function stamp({ principal }: Workspace, table: SyncedTable, mutation: Mutation, values: Patch, now: number): Patch {
  const { columns, scope, direction } = table.descriptor
  const stamped: Record<string, Value> = { ...values, id: mutation.rowId }
  if (table.hasOrganization) stamped['organizationId'] = principal.organizationId
  if ('createdByUserId' in columns)
    stamped[principal.kind === 'user' ? 'createdByUserId' : 'createdByAgentId'] = principal.id
  if ('originDeviceId' in columns) stamped['originDeviceId'] = principal.deviceId
  // A private project of nobody could be found by nobody.
  if (scope.kind === 'project_home' && principal.kind === 'user') stamped['ownerUserId'] ??= principal.id
  const occurred = stamped['occurredAt']
  if (direction === 'up' && typeof occurred === 'string' && Date.parse(occurred) > now + 300_000)
    stamped['occurredAt'] = new Date(now).toISOString()
  return stamped
}

function changesOf(decision: Decision): Patch {
  if (decision.kind === 'update') return decision.set
  return decision.kind === 'conflict' ? decision.apply : {}
}

async function imageAfter(
  workspace: Workspace,
  table: SyncedTable,
  before: Image | null,
  values: Patch,
): Promise<Image> {
  if (before) return workspace.image(table, { ...before.row, ...values })
  const defaults = Object.entries(table.descriptor.columns).map(
    ([property, column]) => [property, column.default ?? null] as const,
  )
  const after = await workspace.image(table, { ...Object.fromEntries(defaults), ...values })
  // Nobody has a role in a project that is only being made; whoever may make one has it in the organization.
  return table.descriptor.scope.kind === 'project_home'
    ? { ...after, homes: [`organization/${workspace.principal.organizationId}`] }
    : after
}

function toWrite(table: SyncedTable, mutation: Mutation, decision: Decision, values: Patch): Write | undefined {
  if (decision.kind === 'insert') return { kind: 'insert', table: table.name, values }
  const inc = decision.kind === 'update' ? decision.inc : {}
  if (Object.keys(values).length === 0 && Object.keys(inc).length === 0) return undefined
  const texts = 'texts' in decision ? { texts: decision.texts } : {}
  return { kind: 'update', table: table.name, id: mutation.rowId, set: values, inc, ...texts }
}

/** A row that the principal is not shown must look as if it did not exist, but for its id being taken. */
function hidden(table: SyncedTable, mutation: Mutation): Refusal {
  return mutation.op === 'insert'
    ? refuse('unique_violated', `The id ${mutation.rowId} is taken in ${table.name}.`)
    : refuse('not_found', `${table.name} has no row ${mutation.rowId} that is visible here.`)
}
