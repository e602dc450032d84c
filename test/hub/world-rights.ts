// Who may follow what, and what a channel carries, in a state of the whole world: the rules as one would tell them,
// row by row, and nothing of `server/scope`.
import type { Principal } from '../../server/scope/principal.ts'
import type { JsonRow, State } from './world-history.ts'
import type { World, WorldTable } from './world.ts'

const isLive = (row: JsonRow): boolean => row['deleted_at'] === null

export class Rights {
  readonly #world: World
  readonly #state: State

  constructor(world: World, state: State) {
    this.#world = world
    this.#state = state
  }

  mayFollow({ kind, id }: Principal, channel: string): boolean {
    const { organizationId, agentId, ownerId, teamId } = this.#world
    if (kind === 'user' && !this.#isMember(id)) return false
    if (channel === `organization/${organizationId}` || channel === `${kind}/${id}`) return true
    if (channel === `agent/${agentId}`) return kind === 'user' && id === ownerId
    if (channel === `team/${teamId}`) return this.#isInTeam(kind, id)
    const [of, projectId = ''] = channel.split('/')
    const project = of === 'project' ? this.#state.get('projects')?.get(projectId) : undefined
    if (!project) return false
    if (project['visibility'] === 'organization') return true
    const inTeam = this.#isInTeam(kind, id)
    if (project['visibility'] === 'team' && project['team_id'] === teamId && inTeam) return true
    if (kind === 'user' && project['owner_user_id'] === id) return true
    return this.#some(
      'project_members',
      (row) =>
        row['project_id'] === projectId &&
        isLive(row) &&
        (row[`${kind}_id`] === id || (row['team_id'] === teamId && inTeam)),
    )
  }

  /** Whether followers of the channel find the row. */
  carries(channel: string, table: WorldTable, row: JsonRow): boolean {
    const at = (name: string, id: unknown): boolean => channel === `${name}/${String(id)}`
    const byGuest = (guest: JsonRow): boolean =>
      isLive(guest) && ['user', 'agent', 'team'].some((kind) => guest[`${kind}_id`] && at(kind, guest[`${kind}_id`]))
    const shared = (guests: WorldTable, column: string): boolean =>
      this.#some(guests, (guest) => guest[column] === row['id'] && byGuest(guest))
    const under = (parents: WorldTable, column: string): boolean => {
      const parent = this.#state.get(parents)?.get(String(row[column]))
      return parent !== undefined && this.carries(channel, parents, parent)
    }
    const inScope = (): boolean => {
      const scope = String(row['scope'])
      return at(scope, row[`${scope}_id`])
    }
    switch (table) {
      case 'organization_members':
      case 'team_memberships':
        return at('organization', row['organization_id'])
      case 'tasks':
      case 'task_dependencies':
        return at('project', row['project_id'])
      case 'memories':
        return inScope()
      case 'memory_tags':
        return under('memories', 'memory_id')
      case 'conversations':
        return inScope() || shared('conversation_participants', 'conversation_id')
      case 'conversation_participants':
      case 'messages':
        return under('conversations', 'conversation_id')
      case 'knowledge_entries':
        return inScope() || shared('knowledge_grants', 'knowledge_entry_id')
      case 'knowledge_grants':
        return under('knowledge_entries', 'knowledge_entry_id')
      case 'project_members':
        return at('project', row['project_id']) || byGuest(row)
      case 'projects':
        if (row['visibility'] === 'organization') return at('organization', row['organization_id'])
        if (row['visibility'] === 'team' && row['team_id'] !== null) return at('team', row['team_id'])
        return (
          at('project', row['id']) ||
          (row['owner_user_id'] !== null && at('user', row['owner_user_id'])) ||
          shared('project_members', 'project_id')
        )
    }
  }

  #isMember(userId: string): boolean {
    return this.#some(
      'organization_members',
      (row) => row['user_id'] === userId && row['status'] === 'active' && isLive(row),
    )
  }

  #isInTeam(kind: Principal['kind'], id: string): boolean {
    return this.#some('team_memberships', (row) => row[`${kind}_id`] === id && isLive(row))
  }

  #some(table: WorldTable, test: (row: JsonRow) => boolean): boolean {
    return this.#state.get(table)?.values().some(test) ?? false
  }
}
