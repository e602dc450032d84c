/**
 * Who finds a row besides the followers of its channel. `grants` names the log entries (table_name of sync_changes) that
 * say when a guest came or went: channel = the guest's own, old_channel = the name of what it is a guest of.
 */
export interface GuestRule {
  /** Table of the rows that are shared. */
  readonly parent: string
  /** Table of the guests. */
  readonly table: string
  readonly grants: string
  /** Selects (id, channel) of all guests of the parents `$1::uuid[]`. */
  readonly homes: string
  /** Rows of `alias` that the guest `kind/<id>` finds; undefined for kinds that are no guests. */
  readonly condition: (alias: string, kind: string, bindId: () => string) => string | undefined
}

const conversationGuests: GuestRule = {
  parent: 'conversations',
  table: 'conversation_participants',
  grants: 'conversation_participants.grants',
  homes: `
    select g.conversation_id::text, coalesce('user/' || g.user_id, 'agent/' || g.agent_id) from conversation_participants g
    where g.conversation_id = any($1::uuid[]) and g.deleted_at is null`,
  condition: (alias, kind, bindId) =>
    kind === 'user' || kind === 'agent'
      ? `${alias}.id in (select g.conversation_id from conversation_participants g where g.${kind}_id = ${bindId()} and g.deleted_at is null)`
      : undefined,
}

/** A project that neither the organization nor a team finds in its own channel. */
const projectGuests: GuestRule = {
  parent: 'projects',
  table: 'project_members',
  grants: 'project_members.grants',
  homes: `
    select p.id::text, 'user/' || p.owner_user_id from projects p
    where p.id = any($1::uuid[]) and p.channel = 'project/' || p.id and p.owner_user_id is not null
    union
    select g.project_id::text, coalesce('user/' || g.user_id, 'agent/' || g.agent_id, 'team/' || g.team_id)
    from project_members g join projects p on p.id = g.project_id and p.channel = 'project/' || p.id
    where g.project_id = any($1::uuid[]) and g.deleted_at is null`,
  condition: (alias, kind, bindId) => {
    if (kind !== 'user' && kind !== 'agent' && kind !== 'team') return undefined
    const id = bindId()
    const owned = kind === 'user' ? `${alias}.owner_user_id = ${id} or ` : ''
    const joined = `${alias}.id in (select g.project_id from project_members g where g.${kind}_id = ${id} and g.deleted_at is null)`
    return `${alias}.channel = 'project/' || ${alias}.id and (${owned}${joined})`
  },
}

export const guestRules: readonly GuestRule[] = [conversationGuests, projectGuests]
