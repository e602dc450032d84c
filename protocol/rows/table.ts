/**
 * What a synced table is, as both sides know it. The server derives these descriptors from its MikroORM entities
 * (`server/catalog`), which are the one place where a column is declared; `tidewire generate` prints them as a
 * TypeScript constant from which the SDK infers its types. Nothing here knows a database.
 */

import { TideError } from '../error.ts'

/** Column types of the wire and of replicas. Each has one JavaScript form, see `value.ts`. */
export const columnTypes = [
  'uuid',
  'text',
  'integer',
  'bigint',
  'numeric',
  'double',
  'boolean',
  'timestamptz',
  'date',
  'interval',
  'jsonb',
  'text[]',
  'bytea',
  'inet',
  'vector',
] as const
export type ColumnType = (typeof columnTypes)[number]

/**
 * How a column behaves in sync where it differs from its table's policy.
 * - `server`: computed by the server; a client's value is ignored and reported
 * - `counter`: clients send increments, which commute
 * - `silent`: changes neither raise `version` nor travel
 * - `fixed`: set at insert, never again
 * - `lww`: last arrival wins
 * - `text3`: line-wise three-way merge
 */
export const columnClasses = ['server', 'counter', 'silent', 'fixed', 'lww', 'text3'] as const
export type ColumnClass = (typeof columnClasses)[number]

export interface ColumnDescriptor {
  /** Name in SQL, snake_case. The key under which the descriptor stands is the camelCase property. */
  readonly name: string
  readonly type: ColumnType
  readonly nullable?: true
  /** May be left out at insert: nullable, defaulted, or filled by the server. */
  readonly optional?: true
  /** The literal default, so that an optimistic row shows what the server will store. */
  readonly default?: string | number | boolean | readonly [] | Readonly<Record<string, never>>
  /** Allowed values of an enum column. A replica stores values it does not know. */
  readonly values?: readonly string[]
  readonly class?: ColumnClass
  /** Total digits and digits after the point of a `numeric`. */
  readonly precision?: number
  readonly scale?: number
  /** Number of dimensions of a `vector`. */
  readonly dimension?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly min?: number
  readonly max?: number
  /** SQL name of the table this column refers to. */
  readonly references?: string
  /** Rows belong to the row that this column names: a delete of it takes them along, its restore brings them back. */
  readonly belongs?: true
}

export const roles = ['viewer', 'member', 'admin', 'owner'] as const
/** Effective role of a user in a scope, weakest first. */
export type Role = (typeof roles)[number]

/** Who may write: a role (and those above it), the row's own user, or an agent. */
export type Writer = Role | 'self' | 'agent'

/** rw: two-way · ro: server to client · up: client to server only · server: never leaves. */
export type Direction = 'rw' | 'ro' | 'up' | 'server'

/** Conflict policy of a table; see docs/architecture.md, "Mutations". */
export type Policy = 'merge' | 'lww' | 'append' | 'set' | 'server'

export const scopeKinds = ['organization', 'project', 'team', 'user', 'agent'] as const
export type ScopeKind = (typeof scopeKinds)[number]

/**
 * Which channel a row lives in. Columns are camelCase properties.
 * - `columns`: the first of these columns that is not null names the scope; `fallback: 'organization'` when all are
 *   null
 * - `row`: the row's own `scope` column names the kind, and the column of that kind the id (mixin X)
 * - `via`: the sub-channel `<parent table singular>/<id>` named by an immutable parent
 * - `project_home`: the rule of `projects` itself: where people look for it, by `visibility`
 * - `conflict_home`: sync_conflicts: the channel of the row concerned, stored at insert
 * - `global`: every client
 */
export type ScopeRule =
  | {
      readonly kind: 'columns'
      readonly columns: ReadonlyArray<{ readonly scope: ScopeKind; readonly column: string }>
      readonly fallback?: 'organization'
    }
  | { readonly kind: 'row' }
  | { readonly kind: 'via'; readonly parent: string; readonly column: string; readonly channel: string }
  | { readonly kind: 'project_home' }
  | { readonly kind: 'conflict_home' }
  | { readonly kind: 'global' }

/**
 * Who finds a row besides the followers of its channel: those whom live rows of another table name, in their own
 * channels (`user/<id>`). What hangs under the row comes with it.
 */
export interface GuestRule {
  /** SQL name of the table that names the guests. The shared table itself: its rows name their own guests. */
  readonly table: string
  /** Its column, a camelCase property, that refers to the shared row; `id` where rows name their own guests. */
  readonly column: string
  /** Its columns that name a guest, by kind of the guest's channel. */
  readonly by: Readonly<Partial<Record<'user' | 'agent' | 'team', string>>>
  /** Column of the shared row itself that names one more guest, a user. */
  readonly owner?: string
  /**
   * Only rows that live in the channel of their own name, `<ownChannel>/<id>`, have guests. Such a channel is followed
   * by name, so what lives in it does not come with the row: guests find only the rows that name themselves, by a rule
   * of that table.
   */
  readonly ownChannel?: string
}

/**
 * A place that one live row at a time has of those that are alike in the columns `by`: the row whose `flag` is true.
 * Giving it to another row takes it from that one. Rows of several organizations have places of their own.
 */
export interface ExclusiveRule {
  readonly flag: string
  readonly by: readonly string[]
}

export interface TableDescriptor {
  /** Name in SQL and on the wire. */
  readonly name: string
  readonly direction: Exclude<Direction, 'server'>
  readonly policy: Policy
  readonly writers: readonly Writer[]
  readonly scope: ScopeRule
  readonly guests?: GuestRule
  /** For policy `set`: the columns of the natural key behind the deterministic id. */
  readonly naturalKey?: readonly string[]
  readonly exclusive?: ExclusiveRule
  /** Allowed moves of `status`, where they are restricted. */
  readonly transitions?: Readonly<Record<string, readonly string[]>>
  /** By camelCase property, in wire order. Hidden columns are not in it. */
  readonly columns: Readonly<Record<string, ColumnDescriptor>>
}

/** All synced tables by camelCase property (`knowledgeEntries`), the argument of `connect({ schema })`. */
export type Schema = Readonly<Record<string, TableDescriptor>>

/** What a client has besides its tables (`tide.status`): no table may be called so. */
export const reservedTableNames = [
  'call',
  'close',
  'conflicts',
  'connect',
  'constructor',
  'disconnect',
  'export',
  'followed',
  'handle',
  'onStatus',
  'presence',
  'search',
  'sql',
  'status',
  'subscribe',
  'synced',
  'transaction',
  'verify',
  'writes',
] as const

/** snake_case to camelCase: `knowledge_entries` → `knowledgeEntries`. */
export function toProperty(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

/** A table of a schema, by SQL name or property. Throws `TideError` `unknown_table`. */
export function tableByName(schema: Schema, name: string): TableDescriptor {
  const property = toProperty(name)
  const table = Object.hasOwn(schema, property) ? schema[property] : undefined
  if (table === undefined) throw new TideError('unknown_table', `There is no synced table ${JSON.stringify(name)}.`)
  return table
}
