import { readdir } from 'node:fs/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parse } from 'node:path'
import { z } from 'zod'

const folder = fileURLToPath(new URL('../../migrations', import.meta.url))

/** What a migration of MikroORM is to us: it says its statements when it is told to go up. */
interface Statements {
  up(): void | Promise<void>
  getQueries(): readonly unknown[]
}

const ledger = `create table "mikro_orm_migrations" ("id" serial primary key, "name" varchar(255) not null, "executed_at" timestamptz not null default current_timestamp)`

/**
 * All migrations as one SQL script in one transaction, with the ledger that says they were applied: for a database that the server may
 * not make its schema in, and for reading. \`migrate\` then finds nothing to do but shipping rows. Needs no database.
 */
export async function consolidateMigrations(): Promise<{
  readonly sql: string
  readonly migrations: readonly string[]
}> {
  const files = (await readdir(folder)).filter((name) => /^Migration.*(?<!\.d)\.[jt]s$/.test(name)).toSorted()
  const parts: string[] = ['begin']
  for (const file of files) {
    const name = parse(file).name
    const migration = await load(file, name)
    await migration.up()
    const statements = migration.getQueries().map((query) => z.string().parse(query).trim().replace(/;+$/, ''))
    parts.push(`-- ${name}\n${statements.join(';\n')}`)
  }
  const names = files.map((file) => parse(file).name)
  parts.push(
    ledger,
    `insert into "mikro_orm_migrations" ("name") values ${names.map((name) => `('${name}')`).join(', ')}`,
    'commit',
  )
  return { sql: `${parts.join(';\n\n')};\n`, migrations: names }
}

async function load(file: string, name: string): Promise<Statements> {
  const module = (await import(pathToFileURL(`${folder}/${file}`).href)) as Readonly<
    Record<string, new (driver: undefined, config: undefined) => Statements>
  >
  const Made = module[name]
  if (!Made) throw new Error(`${file} exports no class ${name}.`)
  // Its driver and settings are for migrations that ask the database; ours only say statements.
  return new Made(undefined, undefined)
}
