import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { vectorToBase64 } from '../../protocol/rows/base64.ts'
import { isJsonObject, type JsonObject } from '../../protocol/rows/json-equal.ts'
import type { Json, Patch, Row, Value } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { valuesEqual } from '../../protocol/rows/value.ts'
import type { Mutation } from '../../protocol/messages/mutation.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { ConflictKind, Disagreements } from './decision.ts'
import { checkSent, checkValue } from './check-values.ts'

export const conflictTable = 'sync_conflicts'

export interface NewConflict {
  readonly principal: DevicePrincipal
  readonly table: TableDescriptor
  /** The row concerned as it was when the mutation met it. */
  readonly row: Row
  readonly mutation: Pick<Mutation, 'id'>
  readonly kind: ConflictKind
  readonly fields: Disagreements
}

/** Id of the conflict that a mutation opens: the same however often it is decided. */
export function conflictId(mutation: Pick<Mutation, 'id'>, kind: ConflictKind): string {
  return uuidFromKey(conflictTable, [mutation.id, kind])
}

/** The row of sync_conflicts that keeps what lost. It lives where its row lives. */
export function conflictRow({ principal, table, row, mutation, kind, fields }: NewConflict): Patch {
  return {
    id: conflictId(mutation, kind),
    organizationId: principal.organizationId,
    channel: row['channel'] ?? null,
    originDeviceId: principal.deviceId,
    deviceId: principal.deviceId,
    userId: principal.kind === 'user' ? principal.id : null,
    agentId: principal.kind === 'agent' ? principal.id : null,
    mutationId: mutation.id,
    tableName: table.name,
    rowId: row['id'] ?? null,
    kind,
    serverVersion: row['version'] ?? null,
    ...conflictContent(fieldsToJson(fields)),
  }
}

/** What an open conflict becomes when a later write adds its own losing values. */
export function extendConflict(conflict: Row, row: Row, fields: Disagreements): Patch {
  return {
    ...conflictContent({ ...fieldsOf(conflict), ...fieldsToJson(fields) }),
    serverVersion: row['version'] ?? null,
  }
}

type Fields = { readonly [column: string]: { readonly base: Json; readonly mine: Json; readonly theirs: Json } }

function conflictContent(fields: Fields): Patch {
  return { fields, clientPatch: Object.fromEntries(Object.entries(fields).map(([column, { mine }]) => [column, mine])) }
}

function fieldsToJson(fields: Disagreements): Fields {
  return Object.fromEntries(
    Object.entries(fields).map(([column, { base, mine, theirs }]) => [
      column,
      { base: toJson(base), mine: toJson(mine), theirs: toJson(theirs) },
    ]),
  )
}

/** A patch as it stands inside jsonb. */
export function patchToJson(patch: Patch): JsonObject {
  return Object.fromEntries(Object.entries(patch).map(([property, value]) => [property, toJson(value)]))
}

function toJson(value: Value): Json {
  return value instanceof Float32Array ? vectorToBase64(value) : value
}

/** The disagreements stored in a conflict; what is not of the expected form is left out. */
export function fieldsOf(conflict: Row): Fields {
  const fields = conflict['fields']
  const entries = isJsonObject(fields) ? Object.entries(fields) : []
  return Object.fromEntries(
    entries.flatMap(([column, sides]) => (isJsonObject(sides) ? [[column, sidesOf(sides)] as const] : [])),
  )
}

function sidesOf(sides: JsonObject) {
  return { base: sides['base'] ?? null, mine: sides['mine'] ?? null, theirs: sides['theirs'] ?? null }
}

export interface Joining {
  /** The columns that go on from a losing value, as the conflict will hold them. */
  readonly joined: Disagreements
  /** The patch without them. */
  readonly rest: Pick<Mutation, 'op' | 'rowId' | 'set' | 'base' | 'inc'>
}

/**
 * A device that edits on before it knows of a conflict builds upon its losing value: such columns join the conflict
 * instead of meeting the server's value again.
 */
export function joinConflict(table: TableDescriptor, mutation: Mutation, row: Row, conflict: Row): Joining {
  const { op, rowId, set = {}, base = {}, inc } = mutation
  const fields = fieldsOf(conflict)
  const sent = checkSent(table, { rowId, set, base })
  if (sent.kind === 'refused' || op !== 'patch') return { joined: {}, rest: mutation }
  const joined: Record<string, Disagreements[string]> = {}
  for (const [property, mine] of Object.entries(sent.set)) {
    const column = table.columns[property]
    const field = Object.hasOwn(fields, property) ? fields[property] : undefined
    if (!column || !field || !(property in sent.base)) continue
    const lost = checkValue(table, { ...column, nullable: true }, field.mine)
    if (lost.kind === 'refused' || !valuesEqual(column, lost.value, sent.base[property] ?? null)) continue
    joined[property] = { base: field.base, mine, theirs: row[property] ?? null }
  }
  const without = (values: Readonly<Record<string, Json>>) =>
    Object.fromEntries(Object.entries(values).filter(([property]) => !Object.hasOwn(joined, property)))
  return { joined, rest: { op, rowId, set: without(set), base: without(base), ...(inc ? { inc } : {}) } }
}
