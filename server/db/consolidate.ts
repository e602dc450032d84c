import { z } from 'zod'
import { migrationList, type OwnMigration, type OwnSchema } from './own-schema.ts'

/** What a migration of MikroORM is to us: it says its statements when it is told to go up. */
interface Statements {
  up(): void | Promise<void>
  getQueries(): readonly unknown[]
}

const ledger = `create table "mikro_orm_migrations" ("id" serial primary key, "name" varchar(255) not null, "executed_at" timestamptz not null default current_timestamp)`

/**
 * All migrations as one SQL script in one transaction, with the ledger that says they were applied: for a database that
 * the server may not make its schema in, and for reading. `migrate` then finds nothing to do but shipping rows. Needs
 * no database.
 */
export async function consolidateMigrations(own: OwnSchema = {}): Promise<{
  readonly sql: string
  readonly migrations: readonly string[]
}> {
  const list = await migrationList(own)
  const parts: string[] = ['begin']
  for (const { name, class: Made } of list) {
    const migration = sayingOnly(Made)
    await migration.up()
    const statements = migration.getQueries().map((query) => z.string().parse(query).trim().replace(/;+$/, ''))
    parts.push(`-- ${name}\n${statements.join(';\n')}`)
  }
  const names = list.map(({ name }) => name)
  parts.push(
    ledger,
    `insert into "mikro_orm_migrations" ("name") values ${names.map((name) => `('${name}')`).join(', ')}`,
    'commit',
  )
  return { sql: `${parts.join(';\n\n')};\n`, migrations: names }
}

/** Its driver and settings are for migrations that ask the database; these only say statements. */
function sayingOnly(Made: OwnMigration): Statements {
  return new (Made as unknown as new () => Statements)()
}
