import type { MikroORM } from '@mikro-orm/postgresql'
import type { CatalogTable } from '../catalog/catalog.ts'
import { triggerSql } from '../catalog/trigger-sql.ts'

/** Functions that each table's triggers have of their own (`sync.install_*`): they stay when the table goes. */
const functionsOf = (table: string): readonly string[] =>
  ['channel', 'touch']
    .map((name) => `sync.${name}_${table}`)
    .concat(['insert', 'update', 'delete', 'truncate'].map((event) => `sync.capture_${table}_${event}`))

/**
 * A migration, as a TypeScript module, that brings the application's tables in this database to what their entities
 * say: those that are missing are made, those that differ are changed, and each gets its triggers. Undefined where
 * nothing differs. What it says of rows that are there already (a new column without default) is for people to look at.
 */
export async function draftMigration(
  database: { orm(): Promise<MikroORM> },
  name: string,
  tables: readonly CatalogTable[],
): Promise<string | undefined> {
  const { schema } = await database.orm()
  const difference = await schema.getUpdateSchemaMigrationSQL({ wrap: false })
  const up = statementsOf(difference.up, tables)
  if (up.length === 0) return undefined
  const changed = tables.filter((table) => up.some((statement) => isOf(statement, table)))
  const isNew = (table: CatalogTable): boolean => up.some((one) => one.startsWith(`create table "${table.name}"`))
  const down = [
    ...statementsOf(difference.down, tables),
    ...changed.filter(isNew).map(({ name: gone }) => `drop function if exists ${functionsOf(gone).join(', ')}`),
  ]
  return [
    `import { Migration } from 'tidewire'\n\n`,
    `export class ${name} extends Migration {\n`,
    `  override up(): void {\n${[...up.map((one) => ofDimension(one, tables)), ...changed.flatMap(triggerSql)].map(line).join('')}  }\n\n`,
    `  override down(): void {\n${down.map(line).join('')}  }\n}\n`,
  ].join('')
}

/** The shipped tables differ from their entities in ways that only SQL can say; none of that is the application's. */
function statementsOf(sql: string, tables: readonly CatalogTable[]): readonly string[] {
  const statements = sql.split(/;\s*\n/).map((statement) => statement.trim())
  return statements.filter((statement) => tables.some((table) => isOf(statement, table)))
}

function isOf(statement: string, { name }: CatalogTable): boolean {
  return (
    new RegExp(`^(create table|alter table|drop table if exists|comment on table) "${name}"`).test(statement) ||
    new RegExp(`^create (unique )?index \\S+ on "${name}"`).test(statement) ||
    statement.startsWith(`drop index "${name}_`)
  )
}

/** Entities have embeddings of the usual dimension; this database may have others. */
function ofDimension(statement: string, tables: readonly CatalogTable[]): string {
  const types = tables.flatMap(({ sqlColumns }) => sqlColumns.map(({ sqlType }) => sqlType))
  const vector = types.find((type) => type.startsWith('vector('))
  return vector === undefined ? statement : statement.replaceAll(/vector\(\d+\)/g, vector)
}

function line(statement: string): string {
  const text = statement.replaceAll('\\', '\\\\').replaceAll('`', '\\`').replaceAll('${', '\\${')
  return `    this.addSql(\`${text}\`)\n`
}
