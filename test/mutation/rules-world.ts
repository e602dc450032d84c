// Who writes, and what is written to, where the rules of docs/schema.md are tested: one organization whose people and
// agents have one part each, and rows of any table in any of the places that the page allows.
import type { Pool } from 'pg'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { toProperty } from '../../protocol/rows/table.ts'
import { createMutations } from '../../server/mutation/mutations.ts'
import { createSqlMutationStore } from '../../server/mutation/sql-mutation-store.ts'
import { oneOf, SampleRows, type SqlValues } from '../support/sample-rows.ts'
import { allColumns } from '../support/schema-ddl.ts'
import type { DocTable } from '../support/schema-notation.ts'
import { catalog, newId, TestDevice } from './world.ts'

export const parts = [
  'owner',
  'admin',
  'member',
  'viewer',
  // A viewer everywhere, and the user of the rows that have one.
  'self',
  // Member of the project and the team, owned by `self`.
  'agent',
  // Of the organization, and of nothing in it.
  'stranger',
  // The owner of another organization.
  'outsider',
] as const
export type Part = (typeof parts)[number]
const people = ['owner', 'admin', 'member', 'viewer', 'self'] as const

export const places = ['organization', 'project', 'team', 'user', 'agent', 'global'] as const
/**
 * Where a row lives, or what it hangs under: the one private project, the team, `self`, `agent`; `global` is shipped to
 * everyone.
 */
export type Place = (typeof places)[number]

export class RulesWorld {
  readonly #pool: Pool
  readonly #tables: ReadonlyMap<string, DocTable>
  readonly #samples: SampleRows
  readonly #parents = new Map<string, Promise<string>>()
  readonly #principals = new Map<Part, string>()
  readonly #devices = new Map<Part, TestDevice>()
  readonly organization = newId()
  readonly #elsewhere = newId()
  readonly team = newId()
  #project = ''

  private constructor(pool: Pool, tables: readonly DocTable[]) {
    this.#pool = pool
    this.#tables = new Map(tables.map((table) => [table.name, table]))
    this.#samples = new SampleRows(pool, tables)
  }

  static async create(pool: Pool, tables: readonly DocTable[]): Promise<RulesWorld> {
    const world = new RulesWorld(pool, tables)
    await world.#populate()
    return world
  }

  async query<R extends object>(text: string, values: readonly unknown[] = []): Promise<readonly R[]> {
    return (await this.#pool.query<R>(text, [...values])).rows
  }

  idOf(part: Part): string {
    const id = this.#principals.get(part)
    if (id === undefined) throw new Error(`Nobody is ${part}.`)
    return id
  }

  device(part: Part): TestDevice {
    const device = this.#devices.get(part)
    if (!device) throw new Error(`The ${part} has no device.`)
    return device
  }

  table(name: string): DocTable {
    const table = this.#tables.get(name)
    if (!table) throw new Error(`docs/schema.md has no table ${name}.`)
    return table
  }

  /** Where the rows of a table may live, as its scope on the page says. */
  placesOf({ scope }: DocTable): readonly Place[] {
    const parent = /^via (\w+)/.exec(scope)?.[1]
    if (parent !== undefined) return this.placesOf(this.table(parent))
    if (scope === 'row') return places.filter((place) => place !== 'global')
    if (scope === 'global+org') return ['organization', 'global']
    if (scope === 'home') return ['organization']
    if (scope === 'conflict') return ['user']
    return scope.split('|').map((alternative) => {
      const kind = alternative.replace(/\(.*/, '').replace(/^org$/, 'organization')
      const place = places.find((known) => known === kind)
      if (!place) throw new Error(`No place ${kind} in ${scope}.`)
      return place
    })
  }

  /** Values of a row in a place that is not stored yet, by SQL name. All it requires is there. */
  async values(table: DocTable, place: Place, given: SqlValues = {}): Promise<SqlValues> {
    const row: Record<string, unknown> = { id: newId(), ...given }
    for (const column of allColumns(table)) {
      if (column.name in row || column.name === 'id') continue
      const value = await this.#place(table, column.name, place)
      if (value !== undefined) row[column.name] = value
      else if (column.references && column.notNull)
        row[column.name] = await this.#reference(table, column.name, column.references.table, place)
    }
    for (const [part, name] of [
      ['agent', 'agent_id'],
      ['self', 'user_id'],
    ] as const)
      if (isAbout(table, part, name) && !(name in row)) row[name] = this.idOf(part)
    // What a row is about must be there; these are seen by everybody of the organization.
    if (table.name === 'feedback_loops')
      Object.assign(row, { subject_type: 'agent', subject_id: this.idOf('agent'), ...given })
    if (table.name === 'external_links')
      Object.assign(row, { local_type: 'user', local_id: this.idOf('self'), ...given })
    const alternatives = oneOf[table.name] ?? []
    if (alternatives.length > 0 && alternatives.every((name) => row[name] === undefined)) {
      const [chosen = ''] = alternatives
      const references = table.columns.find(({ name }) => name === chosen)?.references?.table ?? ''
      row[chosen] = await this.#reference(table, chosen, references, place)
    }
    return this.#samples.row(table.name, row)
  }

  /** A stored row; the tables of which there is one row for each principal have that one. */
  async row(table: DocTable, place: Place, given: SqlValues = {}): Promise<SqlValues> {
    if (table.scope.endsWith('(id)')) {
      const id = this.#idAt(place)
      const [{ name } = { name: '' }] = await this.query<{ name: string }>(
        `select name from ${table.name} where id = $1`,
        [id],
      )
      return { id, name }
    }
    const values = await this.values(table, place, given)
    await this.#samples.insert(this.#pool, table.name, values)
    return values
  }

  async roleInProject(part: Part, as: string): Promise<void> {
    await this.query('update project_members set role = $1 where project_id = $2 and user_id = $3', [
      as,
      this.#project,
      this.idOf(part),
    ])
  }

  /** The row of the part `agent` as it was at first, but for what is given. */
  async agentAnew(given: SqlValues): Promise<SqlValues> {
    const first = { team_id: null, owner_user_id: this.idOf('self'), agent_type: 'generic', lifecycle: 'active' }
    const row: SqlValues = { ...first, status: 'offline', dna: '{}', ...given }
    const columns = Object.keys(row).map((column, place) => `${column} = $${place + 2}`)
    await this.query(`update agents set ${columns.join(', ')} where id = $1`, [
      this.idOf('agent'),
      ...Object.values(row),
    ])
    return { id: this.idOf('agent'), ...row }
  }

  /** What the page says of each column that a client may send, in wire form. */
  wire(table: DocTable, values: SqlValues): Record<string, Json> {
    const kept = new Set(serverColumns(table))
    const columns = allColumns(table).filter(({ name }) => !kept.has(name) && (values[name] ?? null) !== null)
    return Object.fromEntries(columns.map(({ name, type }) => [toProperty(name), toWire(type, values[name])]))
  }

  /** The id that a client gives to such a row: one that follows from its natural key, where it has one. */
  rowId(table: DocTable, values: SqlValues, part: Part): string {
    const key = catalog.synced.get(table.name)?.descriptor.naturalKey
    if (!key) return newId()
    const wire = this.wire(table, values)
    const ofKey = key.map((name) =>
      name === 'organizationId' ? this.device(part).principal.organizationId : (wire[name] ?? null),
    )
    return uuidFromKey(table.name, ofKey as readonly string[])
  }

  /** What a column that names a place has in this one; undefined when it names none. */
  async #place(table: DocTable, column: string, place: Place): Promise<unknown> {
    if (column === 'organization_id') return place === 'global' ? null : this.organization
    if (column === 'channel') return table.scope === 'conflict' ? `user/${this.idOf('self')}` : undefined
    if (table.mixins.includes('X') && column === 'scope') return place
    const named = table.mixins.includes('X')
      ? /^(project|team|user|agent)_id$/.exec(column)?.[1]
      : new RegExp(`(\\w+)\\(${column}\\)`).exec(table.scope)?.[1]
    if (named === undefined) {
      const parent = new RegExp(`^via (\\w+)\\(${column}\\)`).exec(table.scope)?.[1]
      return parent === undefined ? undefined : this.#parent(table, parent, place)
    }
    if (named === place) return table.name === 'project_states' ? this.#newProject() : this.#idAt(place)
    return /^(project|team|user|agent)$/.test(named) ? null : undefined
  }

  #idAt(place: Place): string {
    const ids = { organization: this.organization, project: this.#project, team: this.team, global: '' }
    return place === 'user' ? this.idOf('self') : place === 'agent' ? this.idOf('agent') : ids[place]
  }

  async #reference(table: DocTable, column: string, target: string, place: Place): Promise<string> {
    const isMembership = ['organization_members', 'project_members', 'team_memberships'].includes(table.name)
    if (target === 'users')
      return isMembership ? this.#newUser(table.name !== 'organization_members') : this.idOf('self')
    if (target === 'agents') return this.idOf('agent')
    if (target === 'projects') return this.#project
    if (target === 'organizations') return this.organization
    return this.#parent(table, target, place, column)
  }

  /** A row to refer to. The keys of set-like tables are made of them, so each row of those has its own. */
  #parent(child: DocTable, target: string, place: Place, column = ''): Promise<string> {
    const table = this.table(target)
    const possible = this.placesOf(table)
    const at = possible.includes(place) ? place : (possible[0] ?? 'organization')
    const isShared = child.policy !== 'set' && column !== 'depends_on_id'
    const key = `${target} ${at}`
    const known = isShared ? this.#parents.get(key) : undefined
    const id = known ?? this.row(table, at).then((values) => String(values['id']))
    if (isShared) this.#parents.set(key, id)
    return id
  }

  async #populate(): Promise<void> {
    for (const [id, slug] of [
      [this.organization, 'acme'],
      [this.#elsewhere, 'elsewhere'],
    ])
      await this.query('insert into organizations (id, name, slug) values ($1, $2, $2)', [id, slug])
    for (const part of people) this.#principals.set(part, await this.#newUser(true, role(part)))
    this.#principals.set('outsider', await this.#newUser(true, 'owner', this.#elsewhere))
    for (const part of ['agent', 'stranger'] as const) {
      const id = newId()
      await this.query(
        `insert into agents (id, organization_id, name, agent_type, owner_user_id) values ($1, $2, $3, 'generic', $4)`,
        [id, this.organization, part, part === 'agent' ? this.idOf('self') : null],
      )
      this.#principals.set(part, id)
    }
    await this.query(`insert into teams (id, organization_id, name, slug) values ($1, $2, 'Core', 'core')`, [
      this.team,
      this.organization,
    ])
    await this.#join('team_memberships', 'team_id', this.team)
    this.#project = await this.#newProject()
    for (const part of parts) await this.#register(part)
  }

  async #newUser(isMember: boolean, as = 'member', organization = this.organization): Promise<string> {
    const id = newId()
    await this.query('insert into users (id, email, name) values ($1, $2, $2)', [id, `${id}@example.com`])
    if (isMember)
      await this.query('insert into organization_members (organization_id, user_id, role) values ($1, $2, $3)', [
        organization,
        id,
        as,
      ])
    return id
  }

  /** A private one, so that roles in it are those of its members. */
  async #newProject(): Promise<string> {
    const id = newId()
    await this.query(
      `insert into projects (id, organization_id, name, slug, visibility) values ($1, $2, 'P', $3, 'private')`,
      [id, this.organization, `p-${id}`],
    )
    await this.#join('project_members', 'project_id', id)
    return id
  }

  async #join(table: string, column: string, id: string): Promise<void> {
    for (const part of [...people, 'agent'] as const)
      await this.query(
        `insert into ${table} (organization_id, ${column}, ${part === 'agent' ? 'agent_id' : 'user_id'}, role) values ($1, $2, $3, $4)`,
        [this.organization, id, this.idOf(part), part === 'agent' ? 'member' : role(part)],
      )
  }

  async #register(part: Part): Promise<void> {
    const kind = part === 'agent' || part === 'stranger' ? 'agent' : 'user'
    const organizationId = part === 'outsider' ? this.#elsewhere : this.organization
    const deviceId = newId()
    await this.query(
      `insert into devices (id, organization_id, ${kind}_id, fingerprint, name, kind) values ($1, $2, $3, $4, $5, 'cli')`,
      [deviceId, organizationId, this.idOf(part), deviceId, part],
    )
    const store = createSqlMutationStore({ pool: this.#pool, catalog })
    const mutations = createMutations({ store, catalog, clock: systemClock })
    this.#devices.set(part, new TestDevice(mutations, { organizationId, kind, id: this.idOf(part), deviceId }))
  }
}

function role(part: (typeof people)[number]): string {
  return part === 'self' ? 'viewer' : part
}

/** Whether the rows of a table name its writer in a column that may be null. */
function isAbout(table: DocTable, writer: 'agent' | 'self', column: string): boolean {
  const alternatives = oneOf[table.name] ?? []
  return (
    table.writers.includes(writer) &&
    !alternatives.includes(column) &&
    table.columns.some(({ name, references }) => name === column && references !== undefined)
  )
}

/**
 * What no client sends: the columns of the mixins but for X, generated ones, and those of class `server` or `hidden`.
 */
export function serverColumns(table: DocTable): readonly string[] {
  const own = new Set(table.columns.map(({ name }) => name))
  const free = /^(scope|project_id|team_id|user_id|agent_id|occurred_at)$/
  return [
    ...allColumns(table)
      .filter(({ name, generated }) => generated !== undefined || !(own.has(name) || free.test(name)))
      .map(({ name }) => name),
    ...(table.fields['server'] ?? []),
    ...(table.fields['hidden'] ?? []),
  ]
}

/** The wire form of a sample, which is in SQL form. */
export function toWire(type: string, value: unknown): Json {
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (typeof value === 'string' && type === 'jsonb') return JSON.parse(value) as Json
  if (typeof value === 'string' && type === 'vector(D)') {
    const numbers = JSON.parse(value) as readonly number[]
    return Buffer.from(Float32Array.from(numbers).buffer).toString('base64')
  }
  return value as Json
}
