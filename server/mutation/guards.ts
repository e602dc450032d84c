import { channelOf } from '../../protocol/rows/channel.ts'
import { entryOf, isJsonObject, jsonEqual } from '../../protocol/rows/json-equal.ts'
import type { Json, Row, Value } from '../../protocol/rows/row.ts'
import { roles, type Role, type TableDescriptor } from '../../protocol/rows/table.ts'
import { valuesEqual } from '../../protocol/rows/value.ts'
import type { SyncedTable } from '../catalog/catalog.ts'
import type { Access } from '../scope/access.ts'
import type { Principal } from '../scope/principal.ts'
import { refuse, show, type Refusal } from './refusal.ts'

export type Guards = SyncedTable['guards']
type Guard = NonNullable<Guards[string]>
type RankGuard = Extract<Guard, { kind: 'rank' }>

export interface Guarded {
  readonly table: TableDescriptor
  readonly guards: Guards
  readonly principal: Principal
  readonly access: Access
  /** The writer's role where the row is. Agents have none. */
  readonly role: Role | undefined
  /** Set where the writer is here as a guest alone. */
  readonly guest?: Guest | undefined
  /** Null at an insert. */
  readonly before: Row | null
  readonly after: Row
}

/**
 * Somebody who writes in a conversation by the row that makes them a participant, and by no role of theirs where it
 * lives.
 */
export interface Guest {
  /** As that row says it. */
  readonly role: string
}

/**
 * Whether the writer may give the columns that carry authority the values of `after`. The refusal names column, value
 * and who may.
 */
export function checkGuards(input: Guarded): Refusal | undefined {
  for (const [property, guard] of Object.entries(input.guards)) {
    const refusal = guard && check(input, property, guard)
    if (refusal) return refusal
  }
  return undefined
}

function check(input: Guarded, property: string, guard: Guard): Refusal | undefined {
  const { table, principal } = input
  const needs = needsOf(input, property, guard)
  if (needs === undefined) return undefined
  return refuse(
    'forbidden',
    `The ${principal.kind} ${principal.id} may not make ${table.name}.${property} ${show(input.after[property] ?? null)}: that needs ${needs}.`,
  )
}

/** What the writer lacks; undefined when nothing. */
function needsOf(input: Guarded, property: string, guard: Guard): string | undefined {
  if (guard.kind === 'rank') return isTouched(input, property, guard) ? rankNeeded(input, guard) : undefined
  if (guard.kind === 'role') return roleNeeded(input, property, guard.with ?? [])
  if (guard.kind === 'host') return differs(input, property) ? hostNeeded(input, guard.own) : undefined
  const value = input.after[property]
  if (typeof value !== 'string' || !differs(input, property) || isOwnName(input, guard.of, value)) return undefined
  return guard.of === 'user' ? 'that user' : 'that agent, its owner, or an admin'
}

function rankNeeded({ access, before, after, ...input }: Guarded, guard: RankGuard): string | undefined {
  const needed = before ? guard.rank : 'admin'
  const isOwner =
    before === null && Object.entries(input.guards).some(([name, other]) => isOwnerOf(input, other, after[name]))
  const held = isOwner ? 'owner' : guard.of ? roleIn(access, input.principal) : input.role
  if (rank(held) < rank(needed)) return `an ${needed}${guard.of ? ' of the organization' : ''}`
  const home = guard.team ? channelOf(input.table, after) : ''
  const inTeam = home.startsWith('team/') ? access.channels.get(home) : undefined
  return rank(inTeam) > rank(held) ? `an ${String(inTeam)}, which the ${input.principal.kind} is in ${home}` : undefined
}

function isOwnerOf(
  { principal }: Pick<Guarded, 'principal'>,
  guard: Guard | undefined,
  value: Value | undefined,
): boolean {
  return guard?.kind === 'rank' && guard.owner === true && principal.kind === 'user' && value === principal.id
}

/** Both the role that is given and the one that is taken count. */
function roleNeeded(input: Guarded, property: string, others: readonly string[]): string | undefined {
  const { before, after, role } = input
  if (before && ![property, ...others, 'deletedAt'].some((name) => differs(input, name))) return undefined
  const concerned = [before?.[property], after[property]].filter((value) => typeof value === 'string')
  const needed = roles.findLast((known) => known === 'admin' || concerned.includes(known)) ?? 'admin'
  return rank(role) < rank(needed) ? `an ${needed}` : undefined
}

/** Of rows that are there the one before counts, so that nobody makes a row their own. */
function hostNeeded({ guest, principal, before, after }: Guarded, own: readonly string[]): string | undefined {
  if (guest === undefined || guest.role === 'owner') return undefined
  const row = before ?? after
  if (own.some((property) => row[property] === principal.id)) return undefined
  return 'an owner of the conversation, or somebody who is not there as a guest'
}

/** A user names themselves, or an agent that they own or, as an admin, any; an agent names itself. */
function isOwnName({ principal, access }: Guarded, of: 'user' | 'agent', value: string): boolean {
  if (of === principal.kind) return value === principal.id
  if (of === 'user') return false
  return access.channels.has(`agent/${value}`) || rank(roleIn(access, principal)) >= rank('admin')
}

/** In the organization. */
function roleIn({ channels }: Access, { kind, organizationId }: Principal): Role | undefined {
  const held = channels.get(`organization/${organizationId}`)
  return kind === 'user' && held !== 'agent' ? held : undefined
}

function isTouched(input: Guarded, property: string, { from, to, within, insert }: RankGuard): boolean {
  if (!differs(input, property) || (insert === 'free' && input.before === null)) return false
  const was = valueBefore(input, property)
  const is = input.after[property] ?? null
  if (from || to) return isOneOf(was, from) || isOneOf(is, to)
  return within ? within.some((path) => !jsonEqual(at(was, path), at(is, path))) : true
}

function isOneOf(value: Value, values: readonly string[] = []): boolean {
  return typeof value === 'string' && values.includes(value)
}

function differs(input: Guarded, property: string): boolean {
  const column = input.table.columns[property]
  return column !== undefined && !valuesEqual(column, valueBefore(input, property), input.after[property] ?? null)
}

function valueBefore({ table, before }: Guarded, property: string): Value {
  return before ? (before[property] ?? null) : (table.columns[property]?.default ?? null)
}

function at(document: Value, path: readonly string[]): Json | undefined {
  let value: Json | undefined = document instanceof Float32Array ? undefined : document
  for (const key of path) value = isJsonObject(value) ? entryOf(value, key) : undefined
  return value
}

function rank(role: Role | 'agent' | undefined): number {
  return roles.findIndex((known) => known === role)
}
