import type { Mutation } from '../../protocol/messages/mutation.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { roles, type Role, type TableDescriptor, type Writer } from '../../protocol/rows/table.ts'
import type { Access } from '../scope/access.ts'
import type { Principal } from '../scope/principal.ts'
import { checkGuards, type Guards, type Guest } from './guards.ts'
import { refuse, type Refusal } from './refusal.ts'
import { isFinal } from './transition.ts'

/** Whose rows make somebody a guest of a conversation. */
export const participantTable = 'conversation_participants'

/** A row as it was or will be, and the channels that carry it (a sub-channel with those it hangs under). */
export interface Image {
  readonly row: Row
  readonly homes: readonly string[]
  /** Those of `homes` that carry it only because somebody is a guest of its parent. */
  readonly guests?: readonly string[]
  /** Those of `guests` that may change the row nevertheless, where it is. */
  readonly editors?: readonly string[]
}

export interface AuthoriseInput {
  readonly table: TableDescriptor
  /** The columns of the table that carry authority. */
  readonly guards: Guards
  readonly principal: Principal
  readonly access: Access
  readonly op: Mutation['op']
  /** Null at an insert. */
  readonly before: Image | null
  readonly after: Image
  /** What the principal is where it is a guest alone. */
  readonly guest?: Guest | undefined
}

/** Whether the principal is shown the row at all. A row that it is not shown must look as if it did not exist. */
export function isVisible(access: Access, image: Image): boolean {
  return image.homes.some((home) => access.channels.has(home) || home === 'global')
}

/**
 * Whether the principal may make `after` of `before`. Both images count: nobody takes a row from where they may not
 * write, and nobody puts one there; nobody gives a column that carries authority a value that is not theirs to give.
 * Returns why not, naming who may.
 */
export function authorise(input: AuthoriseInput): Refusal | undefined {
  const { table, guards, principal, access, op, before, after, guest } = input
  const closed = refuseOp(table, op)
  if (closed) return closed
  if (!access.active)
    return refuse('forbidden', `The ${principal.kind} ${principal.id} is not active in this organization.`)
  for (const image of before ? [before, after] : [after]) {
    if (!ownOrganization(table, principal, image.row))
      return refuse('forbidden', `The row of ${table.name} is not one of this organization.`)
    if (mayWrite(table, principal, access, image, before !== null)) continue
    const stays = op === 'patch' && before?.homes[0] === after.homes[0]
    if (!stays || !mayWrite(table, principal, access, asEditors(image), true))
      return needsWriter(table, principal, image)
  }
  const from = before?.row['status']
  if (principal.kind === 'agent' && typeof from === 'string' && from !== after.row['status'] && isFinal(table, from)) {
    return refuse('forbidden', `An agent cannot reopen a row of ${table.name} that is ${from}; members can.`)
  }
  if (guest?.role === 'observer' && !isOwnPlace(table, principal, before))
    return refuse(
      'forbidden',
      `The ${principal.kind} ${principal.id} is an observer of the conversation and may not write to ${table.name}: that needs a participant.`,
    )
  const role = principal.kind === 'user' ? roleIn(access, before ?? after) : undefined
  return checkGuards({ table, guards, principal, access, role, guest, before: before?.row ?? null, after: after.row })
}

/** The row that makes somebody a participant: an observer may mute the conversation, read it, and leave. */
function isOwnPlace({ name }: TableDescriptor, { kind, id }: Principal, before: Image | null): boolean {
  return name === participantTable && before?.row[kind === 'user' ? 'userId' : 'agentId'] === id
}

/** Whether the principal may write there only because it is a guest of the row, or of what the row hangs under. */
export function isGuest({ channels }: Access, { kind }: Principal, { homes, guests = [] }: Image): boolean {
  const own = homes.filter((home) => !guests.includes(home) && channels.has(home))
  return !own.some((home) => kind === 'agent' || rank(channels.get(home)) >= rank('member'))
}

/** The highest role where the row is, but for where it is only shared. */
function roleIn(access: Access, { homes, guests = [] }: Image): Role | undefined {
  const held = homes.filter((home) => !guests.includes(home)).map((home) => access.channels.get(home))
  return roles.findLast((role) => held.includes(role))
}

/** As if those who may edit were no guests. */
function asEditors({ guests = [], editors = [], ...image }: Image): Image {
  return { ...image, guests: guests.filter((home) => !editors.includes(home)) }
}

/** What nobody may do, whoever it is. */
export function refuseOp(table: TableDescriptor, op: Mutation['op']): Refusal | undefined {
  if (table.direction === 'ro' || table.policy === 'server')
    return refuse('forbidden', `Only the server writes to ${table.name}.`)
  return table.direction === 'up' && op !== 'insert'
    ? refuse('forbidden', `Rows of ${table.name} can be inserted and nothing else.`)
    : undefined
}

/** Rows without an organization are shipped with Tidewire: read-only to clients. `users` span organizations. */
function ownOrganization(table: TableDescriptor, principal: Principal, row: Row): boolean {
  return !('organizationId' in table.columns) || row['organizationId'] === principal.organizationId
}

function mayWrite(
  table: TableDescriptor,
  principal: Principal,
  access: Access,
  image: Image,
  exists: boolean,
): boolean {
  // What hangs under a shipped row is seen in every organization, so that nobody but the server may put it there.
  if (image.homes.includes('global')) return false
  const { guests = [] } = image
  const seen = image.homes.filter((home) => access.channels.has(home))
  if (seen.length === 0) return false
  // In its own channel everybody is an owner, but a guest is not one of what it was invited to.
  const own = seen.filter((home) => !guests.includes(home))
  return table.writers.some((writer) => {
    if (writer === 'self') return principal.kind === 'user' && isSelf(table, principal, image)
    if (writer === 'agent')
      return (
        principal.kind === 'agent' &&
        isAgents(table, principal, image, table.writers.includes('self') ? seen : own, exists)
      )
    return principal.kind === 'user' && own.some((home) => rank(access.channels.get(home)) >= rank(writer))
  })
}

function rank(role: Role | 'agent' | undefined): number {
  return roles.findIndex((known) => known === role)
}

/** The user of the row. Where the row names its own scope, its other ids only say what it is about. */
function isSelf(table: TableDescriptor, principal: Principal, image: Image): boolean {
  if (image.homes.includes(`user/${principal.id}`)) return true
  return table.scope.kind !== 'row' && image.row['userId'] === principal.id
}

/**
 * An agent writes rows of its own, rows assigned to it, and rows in projects it follows. What it made itself elsewhere
 * (a memory of its team) stays its to change, though it could not have put it there by authorship alone.
 */
function isAgents(
  table: TableDescriptor,
  principal: Principal,
  image: Image,
  reachable: readonly string[],
  exists: boolean,
): boolean {
  if (reachable.some((home) => home === `agent/${principal.id}` || home.startsWith('project/'))) return true
  const { row } = image
  if (table.name === 'agents') return row['id'] === principal.id
  const own = [row['agentId'], row['senderAgentId'], row['assignedAgentId'], exists ? row['createdByAgentId'] : null]
  return own.includes(principal.id)
}

const writerNames: Readonly<Record<Writer, string>> = {
  viewer: 'a viewer',
  member: 'a member',
  admin: 'an admin',
  owner: 'an owner',
  self: "the row's own user",
  agent: 'an agent on rows of its own, assigned to it, or in projects it is a member of',
}

function needsWriter(table: TableDescriptor, principal: Principal, image: Image): Refusal {
  const writers = table.writers.map((writer) => writerNames[writer])
  const who = writers.length === 0 ? 'nobody but the server' : writers.join(', or ')
  return refuse(
    'forbidden',
    `The ${principal.kind} ${principal.id} may not write to ${table.name} in ${image.homes[0] ?? 'no channel'}: that needs ${who}.`,
  )
}
