import { enumeration, integer, reference, text, timestamp, uuid } from './column.ts'
import { scopeType } from './enums.ts'
import { unique } from './indexes.ts'

/**
 * Columns that many tables share, to be spread into `columns`. Mixin letters are those of the data model: S synced,
 * S0 synced with shipped rows, R without soft delete, R0, T tenant roots, P partitioned logs, P0, V server only,
 * A author, X row scope.
 */

const id = () => uuid().primary().defaultSql('sync.uuid_v7()').server()
const channel = () =>
  text()
    .server()
    .tableIndex(unique(['id', 'channel']))
const version = () => integer().default(1).check('{} > 0').server()
const time = () => timestamp().defaultSql('now()').server()
const organizationId = () => reference('organizations', 'cascade').server()

function row() {
  return {
    id: id(),
    channel: channel(),
    version: version(),
    originDeviceId: reference('devices', 'set null').nullable().author().server(),
    createdAt: time(),
    updatedAt: time(),
  }
}

const deletedAt = () => timestamp().nullable().server()

/** R: synced rows that are never soft-deleted: computed by the server, or append-only. */
export function recordColumns() {
  const { id, ...rest } = row()
  return { id, organizationId: organizationId(), ...rest }
}

/** S: synced rows. */
export function syncedColumns() {
  return { ...recordColumns(), deletedAt: deletedAt() }
}

/** R0: R where a row without organization is shipped with the system. */
export function systemRecordColumns() {
  const { id, ...rest } = row()
  return { id, organizationId: organizationId().nullable(), ...rest }
}

/** S0: S where a row without organization is shipped with the system. */
export function systemSyncedColumns() {
  return { ...systemRecordColumns(), deletedAt: deletedAt() }
}

/** T: roots of tenancy, synced without the tenant column. */
export function rootColumns() {
  return {
    id: id(),
    channel: channel(),
    version: version(),
    createdAt: time(),
    updatedAt: time(),
    deletedAt: deletedAt(),
  }
}

/** P: large append-only tables; both parts of the key are set once, where the row is made. */
export function logColumns() {
  return {
    id: id(),
    occurredAt: timestamp().primary().defaultSql('now()'),
    createdAt: time(),
    organizationId: organizationId(),
    originDeviceId: uuid().nullable().server(),
  }
}

/** P0: P where a row may belong to no organization: what the server logs of itself. */
export function systemLogColumns() {
  return { ...logColumns(), organizationId: organizationId().nullable() }
}

/** V: tables that never leave the server. */
export function serverColumns() {
  return { id: id(), createdAt: time(), updatedAt: time() }
}

/** A: who made the row, a user or an agent; set by the server. */
export function authorColumns() {
  return {
    createdByUserId: reference('users', 'set null').nullable().author().server(),
    createdByAgentId: reference('agents', 'set null')
      .nullable()
      .author()
      .server()
      .tableCheck('author', 'num_nonnulls(created_by_user_id, created_by_agent_id) <= 1'),
  }
}

/** X: the row itself says who receives it. Ids beside the one that `scope` names mean "about". */
export function scopeColumns() {
  return {
    scope: enumeration(scopeType).tableCheck(
      'scope_id',
      `scope = 'organization' or (scope = 'project' and project_id is not null) ` +
        `or (scope = 'team' and team_id is not null) or (scope = 'user' and user_id is not null) ` +
        `or (scope = 'agent' and agent_id is not null)`,
    ),
    projectId: reference('projects', 'cascade').nullable(),
    teamId: reference('teams', 'cascade').nullable(),
    userId: reference('users', 'cascade').nullable(),
    agentId: reference('agents', 'cascade').nullable(),
  }
}
