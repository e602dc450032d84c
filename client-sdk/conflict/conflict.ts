import type { Json, Row, Value } from '../../protocol/rows/row.ts'

/** SQL name of the table whose rows are conflicts. */
export const conflictTable = 'sync_conflicts'

/** A write that met another: what was there before, what this side wrote, what the row has now. */
export interface Conflict {
  readonly id: string
  /** SQL name of the table and id of the row concerned. */
  readonly table: string
  readonly rowId: string
  readonly kind: string
  readonly status: string
  /** By column: the value before the write, the value that lost, the value that stands. */
  readonly base: Readonly<Record<string, Json>>
  readonly mine: Readonly<Record<string, Json>>
  readonly theirs: Readonly<Record<string, Json>>
  /** Id of the device whose write lost; null when it is gone. */
  readonly device: string | null
  readonly actor: { readonly kind: 'user' | 'agent'; readonly id: string } | null
  readonly mutationId: string
  /** ISO time. */
  readonly when: string
}

/** A row of sync_conflicts as its reader wants it. */
export function toConflict(row: Row): Conflict {
  const fields = objectOf(row['fields'])
  const side = (name: string): Record<string, Json> =>
    Object.fromEntries(
      Object.entries(fields).flatMap(([column, sides]) => {
        const value = objectOf(sides)[name]
        return value === undefined ? [] : [[column, value]]
      }),
    )
  return {
    id: textOf(row['id']),
    table: textOf(row['tableName']),
    rowId: textOf(row['rowId']),
    kind: textOf(row['kind']),
    status: textOf(row['status']),
    base: side('base'),
    mine: { ...side('mine'), ...objectOf(row['clientPatch']) },
    theirs: side('theirs'),
    device: idOf(row['deviceId']),
    actor: actorOf(row),
    mutationId: textOf(row['mutationId']),
    when: textOf(row['createdAt']),
  }
}

/** True for a conflict that still waits for its settlement and arose from a write of this device. */
export function isOwnOpenConflict(row: Row, deviceId: string | null): boolean {
  return row['status'] === 'open' && deviceId !== null && row['deviceId'] === deviceId
}

function actorOf(row: Row): Conflict['actor'] {
  const user = idOf(row['userId'])
  if (user !== null) return { kind: 'user', id: user }
  const agent = idOf(row['agentId'])
  return agent === null ? null : { kind: 'agent', id: agent }
}

function idOf(value: Value | undefined): string | null {
  return typeof value === 'string' ? value : null
}

function textOf(value: Value | undefined): string {
  return typeof value === 'string' ? value : ''
}

function objectOf(value: Value | undefined): { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Float32Array)
    ? (value as { readonly [key: string]: Json })
    : {}
}
