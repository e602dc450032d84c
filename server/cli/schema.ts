import { writeFile } from 'node:fs/promises'
import { consolidateMigrations, type Database } from '../db/db.ts'
import type { DatabaseJob, Job } from './command.ts'

export async function migrate({ database, config, console }: DatabaseJob): Promise<void> {
  const applied = await database.migrate(
    (name) => console.progress(`Applying ${name}`),
    config.embedding,
    (text) => console.progress(text),
  )
  console.answer(
    { applied },
    applied.length === 0
      ? 'Nothing to do: the schema is current.'
      : `Applied ${applied.length} migration${applied.length === 1 ? '' : 's'}.`,
  )
}

export async function rollback(
  { database, console }: Pick<DatabaseJob, 'database' | 'console'>,
  { dryRun = false }: { readonly dryRun?: boolean },
): Promise<void> {
  const reverted = (dryRun ? await newestMigration(database) : await database.rollback()) ?? null
  console.answer(
    { reverted, dryRun },
    reverted === null
      ? 'Nothing to revert: no migration is applied.'
      : dryRun
        ? `It would revert ${reverted}.`
        : `Reverted ${reverted}.`,
  )
}

async function newestMigration({ pool }: Database): Promise<string | undefined> {
  const { rows } = await pool.query<{ name: string }>('select name from mikro_orm_migrations order by id desc limit 1')
  return rows[0]?.name
}

/** Needs no database. */
export async function consolidate({ console, application }: Job, { out }: { readonly out?: string }): Promise<void> {
  const { sql, migrations } = await consolidateMigrations(application)
  if (out !== undefined) await writeFile(out, sql)
  console.answer(
    { migrations, ...(out === undefined ? { sql } : { out }) },
    out === undefined ? sql : `Wrote ${migrations.length} migrations to ${out}.`,
  )
}
