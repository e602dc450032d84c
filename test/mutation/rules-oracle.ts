// Who may do what, in the words of docs/schema.md: a few obvious sentences over the parsed page.
import type { SqlValues } from '../support/sample-rows.ts'
import { allColumns } from '../support/schema-ddl.ts'
import type { DocColumn, DocTable } from '../support/schema-notation.ts'
import { newId } from './world.ts'
import type { Part, Place, RulesWorld } from './rules-world.ts'

export const ops = ['insert', 'patch', 'delete', 'restore'] as const
export type Op = (typeof ops)[number]

/**
 * `refused`: not applied, and nothing said of what is not visible. `unseen`: not applied, and answered as if the row
 * did not exist: the database hides it from other organizations.
 */
export type Answer = 'applied' | 'forbidden' | 'fixed' | 'not_found' | 'refused' | 'unseen'

const order = ['viewer', 'member', 'admin', 'owner']

export interface Case {
  readonly table: DocTable
  readonly place: Place
  readonly part: Part
  readonly op: Op
  readonly row: SqlValues
}

/** What a push of this comes to. */
export function expected(world: RulesWorld, { table, place, part, op, row }: Case): Answer {
  const isRoot = table.scope.endsWith('(id)')
  if (isForeign({ part, place, op })) return 'unseen'
  if (isRoot && op === 'delete') return 'forbidden'
  // Clients change conflicts by resolving them only; `conflicts.pglite.test.ts` says who may.
  if (table.scope === 'conflict') return op === 'insert' ? 'refused' : 'forbidden'
  if (op === 'insert') {
    const isPossible = !isRoot && isWritable(table) && !isUnknown(table, op)
    const may = isPossible && !namesAnother(world, table, part, row) && mayWrite(world, table, place, part, row)
    return may ? 'applied' : 'refused'
  }
  if (!sees(part, place)) return 'not_found'
  if (!isWritable(table) || table.direction === 'up') return 'forbidden'
  if (op !== 'patch' && !isSoftDeleted(table)) return 'forbidden'
  if (op === 'patch' && changeable(table) === undefined) return 'fixed'
  // The end of a project, and its return, is the end of what everybody has in it.
  if (op !== 'patch' && table.name === 'projects') return part === 'owner' || part === 'admin' ? 'applied' : 'forbidden'
  return mayWrite(world, table, place, part, row) ? 'applied' : 'forbidden'
}

/** Whether somebody of another organization would change a row. */
export function isForeign({ part, place, op }: Pick<Case, 'part' | 'place' | 'op'>): boolean {
  return part === 'outsider' && place !== 'global' && op !== 'insert'
}

export function isWritable({ direction, policy }: DocTable): boolean {
  return (direction === 'rw' || direction === 'up') && policy !== 'server'
}

export function isSoftDeleted({ mixins }: DocTable): boolean {
  return mixins.some((mixin) => mixin === 'S' || mixin === 'S0' || mixin === 'T')
}

/** An account is known to others by its membership only, so that a first one is the server's to make. */
function isUnknown({ name }: DocTable, op: Op): boolean {
  return name === 'organization_members' && op === 'insert'
}

/** Logs say which agent it was: that agent itself, or somebody who may act for it. */
function namesAnother(world: RulesWorld, { fields, direction }: DocTable, part: Part, row: SqlValues): boolean {
  if (direction !== 'up' || !fields['guarded']?.includes('agent_id') || row['agent_id'] !== world.idOf('agent'))
    return false
  return !['agent', 'self', 'owner', 'admin'].includes(part)
}

/** Who is shown the rows of a place. */
function sees(part: Part, place: Place): boolean {
  if (place === 'global') return true
  if (part === 'outsider') return false
  if (place === 'organization') return true
  if (place === 'user') return part === 'self'
  // `self` owns the agent.
  if (place === 'agent') return part === 'self' || part === 'agent'
  return part !== 'stranger'
}

/** The writers of the page, one by one. */
export function mayWrite(world: RulesWorld, table: DocTable, place: Place, part: Part, row: SqlValues): boolean {
  // Rows of no organization, and what hangs under them, are the server's.
  if (!sees(part, place) || place === 'global' || part === 'outsider') return false
  return table.writers.some((writer) => {
    if (writer === 'self') return part === 'self' && isOfSelf(world, table, place, row)
    if (writer === 'agent') return isAgent(part) && isOfAgent(world, table, place, part, row)
    return !isAgent(part) && order.indexOf(roleIn(place, part)) >= order.indexOf(writer)
  })
}

function isAgent(part: Part): boolean {
  return part === 'agent' || part === 'stranger'
}

/** Everybody is the owner of what is theirs; else `self` is a viewer. */
function roleIn(place: Place, part: Part): string {
  if (part !== 'self') return part
  return place === 'user' || place === 'agent' ? 'owner' : 'viewer'
}

/** Where a row names its own scope, its other ids only say what it is about. */
function isOfSelf(world: RulesWorld, table: DocTable, place: Place, row: SqlValues): boolean {
  return place === 'user' || (!table.mixins.includes('X') && row['user_id'] === world.idOf('self'))
}

/** Rows of its own, assigned to it, or in projects it is a member of. */
function isOfAgent(world: RulesWorld, table: DocTable, place: Place, part: Part, row: SqlValues): boolean {
  const id = world.idOf(part)
  if (place === 'project' || place === 'agent') return part === 'agent'
  if (table.name === 'agents') return row['id'] === id
  return ['agent_id', 'sender_agent_id', 'assigned_agent_id'].some((column) => row[column] === id)
}

/** A column that those who may write may also patch; append-only tables have none but those of class `lww`. */
export function changeable(table: DocTable): DocColumn | undefined {
  const taken = new Set(
    ['server', 'fixed', 'hidden', 'counter', 'silent', 'text3'].flatMap((kind) => table.fields[kind] ?? []),
  )
  const free = table.columns.filter(
    ({ name, type, references, generated, check }) =>
      !taken.has(name) &&
      !references &&
      generated === undefined &&
      check === undefined &&
      !['agent_type', 'operator', 'lifecycle'].includes(name) &&
      ['text', 'boolean', 'jsonb'].includes(type),
  )
  const possible = table.policy === 'append' ? free.filter(({ name }) => table.fields['lww']?.includes(name)) : free
  const [first] = possible.toSorted((a, b) => ease(a) - ease(b))
  return first
}

function ease({ type, values }: DocColumn): number {
  return type === 'text' && !values ? 0 : type === 'boolean' ? 1 : type === 'text' ? 2 : 3
}

/** A value that is not the one a column has by default or by sample. */
export function otherValue({ type, values, default: initial }: DocColumn): string | boolean | number {
  if (type === 'boolean') return initial !== 'true'
  if (type === 'jsonb') return 0.25
  if (type === 'text') return values?.findLast((value) => value !== initial) ?? newId()
  return 7
}

/** A column of the page that no patch may change, for tables without a changeable one. */
export function unchangeable(table: DocTable): DocColumn | undefined {
  const server = new Set([...(table.fields['server'] ?? []), ...(table.fields['hidden'] ?? [])])
  const own = new Set(table.columns.map(({ name }) => name))
  return allColumns(table).find(
    ({ name, type, generated, references }) =>
      own.has(name) &&
      /^(text|integer|numeric)\b/.test(type) &&
      !server.has(name) &&
      generated === undefined &&
      !references,
  )
}
