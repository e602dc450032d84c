import { isSubChannel, parseChannel } from '../../protocol/rows/channel.ts'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { SimRows } from './sim-rows.ts'

/** Followable channels that carry a row. */
export function rowHomes(table: string, row: Row, rows: SimRows): readonly string[] {
  const homes = homesOf(String(row['channel']), rows)
  if (table === 'project_members') return row['deletedAt'] === null ? [...homes, guestChannel(row)] : homes
  if (table !== 'projects' || row['channel'] !== `project/${rowId(row)}`) return homes
  const members = rows
    .all('project_members')
    .filter((member) => member['projectId'] === rowId(row) && member['deletedAt'] === null)
  const owner = row['ownerUserId'] === null ? [] : [`user/${String(row['ownerUserId'])}`]
  return [...new Set([...homes, ...owner, ...members.map(guestChannel)])]
}

/** The channel in which a row that names a guest is found by that guest. */
export function guestChannel({ userId, agentId, teamId }: Row): string {
  if (typeof teamId === 'string') return `team/${teamId}`
  return userId === null ? `agent/${String(agentId)}` : `user/${String(userId)}`
}

/** Followable channels that carry the rows of a channel. */
export function homesOf(channel: string, rows: SimRows): readonly string[] {
  if (!isSubChannel(channel)) return [channel]
  const { kind, id } = parseChannel(channel)
  if (id === null) return []
  const parent = rows.get(kind === 'memory' ? 'memories' : `${kind}s`, id)
  const people =
    kind !== 'conversation'
      ? []
      : rows
          .all('conversation_participants')
          .filter((row) => row['conversationId'] === id && row['deletedAt'] === null)
          .map(guestChannel)
  return parent === undefined ? people : [...new Set([String(parent['channel']), ...people])]
}
