// Who may give a column that carries authority another value: the columns that docs/schema.md calls `guarded`, one by
// one.
import type { Json } from '../../protocol/rows/row.ts'
import type { SqlValues } from '../support/sample-rows.ts'
import type { Part, Place, RulesWorld } from './rules-world.ts'

export interface GuardedCase {
  readonly place: Place
  /** The row as it is before, or is inserted beside the column, by SQL name. */
  readonly given?: SqlValues
  /** The part `member` is an admin of the project meanwhile. */
  readonly raised?: boolean
  /** What everybody tries to write. */
  readonly value: Json
  /**
   * Who may change it in a row that is there; undefined where nobody may change such rows at all, or not this column.
   */
  readonly patch?: readonly Part[]
  /** Who may insert a row with it; undefined where clients insert no such row. */
  readonly insert?: readonly Part[]
}

/** By `table.column`. Rows of `agents` are the one of the part `agent`. */
export function guardedCases(world: RulesWorld): Readonly<Record<string, GuardedCase>> {
  const people = { member: world.idOf('member'), self: world.idOf('self') }
  const admins: readonly Part[] = ['owner', 'admin']
  const makers: readonly Part[] = ['owner', 'admin', 'member']
  const raised = true
  const github = { provider: 'github', repository_owner: 'acme', repository_name: 'app' }
  const guardrails = { deniedTools: ['shell'] }
  return {
    'agents.agent_type': { place: 'organization', value: 'devops', patch: admins, insert: admins },
    'agents.team_id': { place: 'organization', value: world.team, patch: admins, insert: admins },
    'agents.owner_user_id': { place: 'organization', value: people.member, patch: admins, insert: admins },
    'agents.lifecycle': { place: 'organization', value: 'paused', patch: admins, insert: admins },
    'agents.status': { place: 'organization', given: { status: 'maintenance' }, value: 'online', patch: admins },
    'agents.dna': {
      place: 'organization',
      given: { dna: JSON.stringify({ identity: { name: 'a' }, guardrails }) },
      value: { identity: { name: 'a' } },
      patch: admins,
    },
    'projects.owner_user_id': {
      place: 'organization',
      given: { owner_user_id: people.self },
      value: people.member,
      // An owner may give it away.
      patch: ['owner', 'self'],
      // Whoever makes a project may be its owner.
      insert: makers,
    },
    'projects.team_id': { place: 'organization', value: world.team, patch: admins, insert: makers },
    'projects.visibility': { place: 'organization', value: 'private', patch: admins, insert: makers },
    'projects.status': { place: 'organization', value: 'archived', patch: admins, insert: makers },
    'projects.deleted_at': { place: 'organization', value: null },
    'organization_members.role': {
      place: 'organization',
      given: { role: 'member' },
      value: 'owner',
      patch: ['owner'],
    },
    'organization_members.status': {
      place: 'organization',
      given: { role: 'owner' },
      value: 'suspended',
      patch: ['owner'],
    },
    'team_memberships.role': {
      place: 'organization',
      given: { role: 'member' },
      value: 'owner',
      patch: ['owner'],
      insert: ['owner'],
    },
    'project_members.role': {
      place: 'project',
      given: { role: 'member' },
      value: 'owner',
      patch: ['owner'],
      insert: ['owner'],
    },
    'messages.sender_user_id': { place: 'project', value: people.member, insert: ['member'] },
    'messages.sender_agent_id': { place: 'project', value: world.idOf('agent'), insert: ['owner', 'admin', 'agent'] },
    // Nobody here is in a conversation as a guest; server-effects.pglite.test.ts says what those may.
    'messages.status': { place: 'project', value: 'redacted', insert: ['owner', 'admin', 'member', 'agent'] },
    'messages.deleted_at': { place: 'project', value: null },
    'conversation_participants.role': {
      place: 'project',
      value: 'owner',
      patch: ['owner', 'admin', 'member', 'agent'],
    },
    'conversation_participants.deleted_at': { place: 'project', value: null },
    'token_usages.agent_id': { place: 'project', value: world.idOf('agent'), insert: ['owner', 'admin', 'agent'] },
    'token_usages.user_id': { place: 'project', given: { agent_id: null }, value: people.member, insert: ['member'] },
    'events.agent_id': { place: 'organization', value: world.idOf('agent'), insert: ['owner', 'admin', 'agent'] },
    'events.user_id': { place: 'organization', given: { agent_id: null }, value: people.member, insert: ['member'] },
    'integrations.provider': { place: 'project', raised, given: github, value: 'generic', patch: admins },
    'integrations.repository_owner': { place: 'project', raised, value: 'mallory', patch: admins, insert: makers },
    'integrations.repository_name': { place: 'project', raised, value: 'other', patch: admins, insert: makers },
    'integrations.sync_settings': {
      place: 'project',
      raised,
      value: { apiUrl: 'https://mallory.example' },
      patch: admins,
      insert: admins,
    },
    'success_criteria.evaluated_by_user_id': {
      place: 'project',
      value: people.member,
      patch: ['member'],
      insert: ['member'],
    },
    'success_criteria.evaluated_by_agent_id': {
      place: 'project',
      value: world.idOf('agent'),
      patch: ['owner', 'admin', 'agent'],
      insert: ['owner', 'admin', 'agent'],
    },
    'task_runs.agent_id': { place: 'project', value: world.idOf('stranger'), patch: [], insert: [] },
    'tool_audit_logs.agent_id': { place: 'project', value: world.idOf('stranger'), insert: [] },
  }
}
