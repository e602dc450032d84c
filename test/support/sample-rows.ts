// Rows that a table takes, made from docs/schema.md: what is required, and whatever else a case asks for.
import { randomUUID } from 'node:crypto'
import type { Pool, PoolClient } from 'pg'
import { allColumns } from './schema-ddl.ts'
import type { DocColumn, DocTable } from './schema-notation.ts'

export type SqlValues = Readonly<Record<string, unknown>>
type Queryable = Pick<Pool | PoolClient, 'query'>

/** Values that rules in SQL ask for; `n` makes them differ from row to row. */
const bySample: Readonly<Record<string, (n: number) => unknown>> = {
  'organizations.slug': (n) => `slug-${n}`,
  'teams.slug': (n) => `slug-${n}`,
  'projects.slug': (n) => `slug-${n}`,
  'users.email': (n) => `person-${n}@example.com`,
  'user_credentials.password_hash': () => '$argon2id$v=19$x',
  'credentials.secret_ciphertext': () => Buffer.alloc(29),
  'access_tokens.token_prefix': () => 'tide',
  'agents.agent_type': () => 'generic',
  'agent_permissions.agent_type': () => 'generic',
  'agent_types.key': (n) => `type_${n}`,
  'agent_events.event_type': () => 'agent.started',
  'devices.fingerprint': (n) => `fingerprint-${n}`,
  'document_templates.key': (n) => `template-${n}`,
  'memory_tags.tag': (n) => `tag-${n}`,
  'model_prices.currency': () => 'USD',
  'prompts.agent_type': () => 'generic',
  'prompts.semver': (n) => `1.0.${n}`,
  'system_metrics.metric_name': (n) => `metric.m${n}`,
  'system_settings.key': (n) => `setting.s${n}`,
  'user_preferences.value': () => '0.5',
  'workflows.definition': () => '{"steps":[]}',
  'sync_heads.id': () => 1,
  'billing_records.period_start': () => '2026-11-01',
  'billing_records.period_end': () => '2026-12-01',
}

/** What a table needs besides its required columns: rules over several columns. */
const byTable: Readonly<Record<string, SqlValues>> = {
  document_links: {
    target_type: 'url',
    target_url: 'https://example.com',
    target_id: '01890000-0000-7000-8000-000000000001',
  },
  integrations: { provider: 'generic' },
  webhooks: { direction: 'outbound', url: 'https://example.com' },
  event_replays: { from_seq: 1 },
  sync_changes: { op: 'mark' },
  project_closures: { kind: 'cancelled' },
  retention_policies: { action: 'keep' },
}

/** Tables whose rows name exactly one of these. */
export const oneOf: Readonly<Record<string, readonly string[]>> = {
  access_tokens: ['user_id', 'agent_id'],
  conversation_participants: ['user_id', 'agent_id'],
  devices: ['user_id', 'agent_id'],
  event_subscriptions: ['agent_id', 'user_id', 'device_id', 'integration_id'],
  knowledge_grants: ['user_id', 'agent_id', 'team_id'],
  project_members: ['user_id', 'team_id', 'agent_id'],
  sync_conflicts: ['user_id', 'agent_id'],
  team_memberships: ['user_id', 'agent_id'],
}

let made = 0

function sampleOf(table: string, column: DocColumn): unknown {
  const n = ++made
  const sample = bySample[`${table}.${column.name}`]
  if (sample) return sample(n)
  if (column.values) return column.values[0]
  const type = column.type.replace(/\(.*/, '')
  switch (type) {
    case 'uuid':
      return randomUUID()
    case 'text':
      return `text ${n}`
    case 'integer':
    case 'bigint':
    case 'double precision':
      return n
    case 'numeric':
    case 'smallint':
      return 1
    case 'boolean':
      return true
    case 'timestamptz':
      return new Date(1.8e12 + n * 1000)
    case 'date':
      return new Date(1.8e12 + n * 86_400_000).toISOString().slice(0, 10)
    case 'interval':
      return '1 day'
    case 'jsonb':
      return '{}'
    case 'text[]':
      return [`text ${n}`]
    case 'bytea':
      return Buffer.from(`bytes ${n}`)
    case 'inet':
      return '127.0.0.1'
    case 'vector':
      return `[${Array.from({ length: 384 }, () => 0.1).join()}]`
    default:
      throw new Error(`No sample of ${column.type}.`)
  }
}

/** Makes rows in one database. Parents are made once and shared. */
export class SampleRows {
  readonly #db: Queryable
  readonly #tables: ReadonlyMap<string, DocTable>
  readonly #parents = new Map<string, Promise<string>>()

  constructor(db: Queryable, tables: readonly DocTable[]) {
    this.#db = db
    this.#tables = new Map(tables.map((table) => [table.name, table]))
  }

  /** The id of a row of the table, always the same one; another one for each `which`. */
  parent(table: string, which = 'first'): Promise<string> {
    const key = `${table} ${which}`
    let id = this.#parents.get(key)
    if (!id) {
      id = this.row(table).then(async (values) => {
        await this.insert(this.#db, table, values)
        return String(values['id'])
      })
      this.#parents.set(key, id)
    }
    return id
  }

  /**
   * Values of a row that is not stored yet; `given` takes precedence, and those columns of it that are undefined are
   * left out.
   */
  async row(name: string, given: SqlValues = {}): Promise<SqlValues> {
    const table = this.#tables.get(name)
    if (!table) throw new Error(`docs/schema.md has no table ${name}.`)
    const alternatives = oneOf[name] ?? []
    const chosen = alternatives.find((column) => given[column] !== undefined) ?? alternatives[0]
    const entries: [string, unknown][] = []
    for (const column of allColumns(table)) {
      if (column.name in given) continue
      if (column.name === 'scope' && table.mixins.includes('X')) entries.push(['scope', 'organization'])
      else if (column.name === 'id' || isRequired(column) || column.name === chosen)
        entries.push([column.name, await this.value(name, column)])
    }
    return defined({ ...Object.fromEntries(entries), ...byTable[name], ...given })
  }

  /** A value that the column takes: of a foreign key the id of a row that is there. */
  async value(table: string, column: DocColumn): Promise<unknown> {
    const fixed = byTable[table]?.[column.name]
    if (fixed !== undefined) return fixed
    // Nothing depends on itself.
    const which = column.name.startsWith('depends_on') ? 'second' : 'first'
    return column.references ? this.parent(column.references.table, which) : sampleOf(table, column)
  }

  async insert(db: Queryable, table: string, values: SqlValues): Promise<void> {
    const names = Object.keys(values)
    const places = names.map((_, index) => `$${index + 1}`)
    await db.query(
      `insert into ${table} (${names.map((name) => `"${name}"`).join(', ')}) values (${places.join(', ')})`,
      Object.values(values),
    )
  }
}

function isRequired(column: DocColumn): boolean {
  return column.notNull && column.default === undefined && column.generated === undefined
}

function defined(values: SqlValues): SqlValues {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
