// The tables of docs/schema.md as SQL, so that Postgres itself can say whether they are those of a migrated database:
// it writes the expressions of both in one way.
import type { DocColumn, DocIndex, DocTable, Mixin } from './schema-notation.ts'

const id: DocColumn = { name: 'id', type: 'uuid', notNull: true, default: 'uuid_v7' }
const organization: DocColumn = {
  name: 'organization_id',
  type: 'uuid',
  notNull: true,
  references: { table: 'organizations', onDelete: 'cascade' },
}
const created: DocColumn = { name: 'created_at', type: 'timestamptz', notNull: true, default: 'now' }
const updated: DocColumn = { ...created, name: 'updated_at' }
const row: readonly DocColumn[] = [
  id,
  { name: 'channel', type: 'text', notNull: true },
  { name: 'version', type: 'integer', notNull: true, default: '1', check: 'version > 0' },
  created,
  updated,
]
const deleted: DocColumn = { name: 'deleted_at', type: 'timestamptz', notNull: false }
const origin: DocColumn = {
  name: 'origin_device_id',
  type: 'uuid',
  notNull: false,
  author: true,
  references: toNull('devices'),
}
const record = [...row, origin, organization]
const log: readonly DocColumn[] = [
  id,
  { ...created, name: 'occurred_at' },
  created,
  organization,
  { name: 'origin_device_id', type: 'uuid', notNull: false },
]

function toNull(table: string) {
  return { table, onDelete: 'set null' } as const
}

function shipped(columns: readonly DocColumn[]): readonly DocColumn[] {
  return columns.map((column) => (column === organization ? { ...column, notNull: false } : column))
}

function named(table: string): DocColumn {
  return {
    name: `${table.slice(0, -1)}_id`,
    type: 'uuid',
    notNull: false,
    references: { table, onDelete: 'cascade' },
  }
}

export const mixinColumns: Readonly<Record<Mixin, readonly DocColumn[]>> = {
  S: [...record, deleted],
  S0: shipped([...record, deleted]),
  R: record,
  R0: shipped(record),
  T: [...row, deleted],
  P: log,
  P0: shipped(log),
  V: [id, created, updated],
  A: [
    { name: 'created_by_user_id', type: 'uuid', notNull: false, author: true, references: toNull('users') },
    { name: 'created_by_agent_id', type: 'uuid', notNull: false, author: true, references: toNull('agents') },
  ],
  X: [
    { name: 'scope', type: 'text', notNull: true, values: ['organization', 'project', 'team', 'user', 'agent'] },
    ...['projects', 'teams', 'users', 'agents'].map(named),
  ],
}

const mixinChecks: Readonly<Partial<Record<Mixin, string>>> = {
  A: 'num_nonnulls(created_by_user_id, created_by_agent_id) <= 1',
  X: `scope = 'organization' or (scope = 'project' and project_id is not null) or (scope = 'team' and team_id is not null)
    or (scope = 'user' and user_id is not null) or (scope = 'agent' and agent_id is not null)`,
}

/** All columns, those of the mixins first. */
export function allColumns(table: DocTable): readonly DocColumn[] {
  return [...table.mixins.flatMap((mixin) => mixinColumns[mixin]), ...table.columns]
}

export function allChecks(table: DocTable): readonly string[] {
  return [...table.mixins.map((mixin) => mixinChecks[mixin]).filter((check) => check !== undefined), ...table.checks]
}

export function isLog(table: DocTable): boolean {
  return table.mixins.some((mixin) => mixin === 'P' || mixin === 'P0')
}

/**
 * All indexes but the primary key: those of the mixins, those listed, and one for each foreign key that leads none of
 * them.
 */
export function allIndexes(table: DocTable): readonly DocIndex[] {
  const { mixins } = table
  const listed: readonly DocIndex[] = [
    ...(mixins.some((mixin) => /^[SRT]/.test(mixin)) ? [plain('unique', 'id', 'channel')] : []),
    ...table.indexes,
  ]
  const led = new Set(listed.filter(leads).map(({ columns }) => columns[0]))
  const bare = allColumns(table).filter(({ name, references, author }) => references && !author && !led.has(name))
  return [...listed, ...bare.map(({ name }) => plain('btree', name))]
}

function plain(kind: DocIndex['kind'], ...columns: readonly string[]): DocIndex {
  return { kind, columns, include: [], nullsNotDistinct: false }
}

function leads({ kind, where }: DocIndex): boolean {
  return (kind === 'btree' || kind === 'unique') && where === undefined
}

export function primaryKey(table: DocTable): readonly string[] {
  return table.primaryKey ?? (isLog(table) ? ['id', 'occurred_at'] : ['id'])
}

/** Statements that make the table in another schema; without foreign keys, which are compared as they are. */
export function toDdl(table: DocTable, schema: string): readonly string[] {
  const columns = allColumns(table).map(columnDdl)
  const checks = [...columnChecks(table), ...allChecks(table)].map((check) => `check (${check})`)
  const key = `primary key (${primaryKey(table).join(', ')})`
  const partition = isLog(table) ? ' partition by range (occurred_at)' : ''
  return [
    `create table ${schema}."${table.name}" (${[...columns, ...checks, key].join(', ')})${partition}`,
    ...allIndexes(table).map((index) => indexDdl(index, `${schema}."${table.name}"`)),
  ]
}

export function sqlType(type: string): string {
  return type.replace(/^timestamptz$/, 'timestamptz(3)').replace(/^vector\(D\)$/, 'vector(384)')
}

function columnDdl(column: DocColumn): string {
  return [
    `"${column.name}" ${sqlType(column.type)}`,
    column.notNull ? 'not null' : '',
    column.default === undefined ? '' : `default ${defaultSql(column)}`,
    column.generated === undefined ? '' : `generated always as (${column.generated}) stored`,
  ].join(' ')
}

function defaultSql({ type, default: value = '' }: DocColumn): string {
  if (value === 'now') return 'now()'
  if (value === 'uuid_v7') return 'sync.uuid_v7()'
  if (value.startsWith("'") || value.includes('(')) return value
  return ['text', 'jsonb', 'text[]', 'bigint'].includes(type) ? `'${value}'` : value
}

/** CHECKs of single columns: lists, lengths, and what the page writes out. */
export function columnChecks(table: DocTable): readonly string[] {
  return allColumns(table).flatMap(({ name, values, length, check }) => [
    ...(values ? [`"${name}" in (${values.map((value) => `'${value}'`).join(', ')})`] : []),
    ...(length ? [`char_length("${name}") >= ${length[0]} and char_length("${name}") <= ${length[1]}`] : []),
    ...(check === undefined ? [] : [check]),
  ])
}

function indexDdl(index: DocIndex, target: string): string {
  const columns = index.columns.map((column) => (index.operators ? `"${column}" ${index.operators}` : `"${column}"`))
  const method = { unique: '', btree: '', gin: 'using gin', trgm: 'using gin', hnsw: 'using hnsw' }[index.kind]
  return [
    `create ${index.kind === 'unique' ? 'unique ' : ''}index on ${target} ${method} (${columns.join(', ')})`,
    index.include.length > 0 ? `include (${index.include.join(', ')})` : '',
    index.nullsNotDistinct ? 'nulls not distinct' : '',
    index.kind === 'hnsw' ? 'with (m = 16, ef_construction = 64)' : '',
    index.where === undefined ? '' : `where ${index.where}`,
  ].join(' ')
}
