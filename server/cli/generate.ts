import { writeFile } from 'node:fs/promises'
import { loadCatalog } from '../catalog/catalog.ts'
import { generateApplicationModule, generateSchemaModule } from '../catalog/generate.ts'
import { draftMigration } from '../db/db.ts'
import { TideError } from '../../protocol/error.ts'
import type { Job } from './command.ts'
import { useDatabase } from './use-database.ts'

export interface GenerateOptions {
  /** Class name of a migration to print, instead of the module. */
  readonly migration?: string
  readonly out?: string
}

/** Prints what follows from the entities: the module of the SDK's types, or a migration. */
export async function generate(job: Job, options: GenerateOptions): Promise<void> {
  if (options.migration === undefined) await generateTypes(job, options)
  else await generateMigration(job, options.migration, options)
}

/** Needs no database: the entities are the schema. */
async function generateTypes({ config, console, application }: Job, { out }: GenerateOptions): Promise<void> {
  const { schema, schemaHash } = loadCatalog(application.entities, { embeddingDimension: config.embedding.dimension })
  const shipped = loadCatalog()
  const module =
    schemaHash === shipped.schemaHash ? generateSchemaModule(schema) : generateApplicationModule(schema, shipped.schema)
  if (out !== undefined) await writeFile(out, module)
  const tables = Object.keys(schema).length
  console.answer(
    { tables, hash: schemaHash, ...(out === undefined ? { module } : { out }) },
    out === undefined ? module : `Wrote ${tables} tables to ${out}.`,
  )
}

async function generateMigration(
  { config, console, application }: Job,
  name: string,
  { out }: GenerateOptions,
): Promise<void> {
  if (!/^[A-Z]\w{0,99}$/.test(name)) {
    throw new TideError('invalid_value', `${JSON.stringify(name)} is no name for a migration.`, {
      remedy: 'Give the name of a class, e.g. --migration AddNotes.',
    })
  }
  const options = { embeddingDimension: config.embedding.dimension }
  const catalog = loadCatalog(application.entities, options)
  const own = (application.entities ?? []).flatMap(({ meta }) => catalog.byName.get(meta.tableName) ?? [])
  const module = await useDatabase(config, (database) => draftMigration(database, name, own), { own: application })
  if (module === undefined) {
    console.answer({ migration: null }, 'Nothing to do: the database is as the entities say.')
    return
  }
  if (out !== undefined) await writeFile(out, module)
  console.answer(
    { migration: name, ...(out === undefined ? { module } : { out }) },
    out === undefined ? module : `Wrote migration ${name} to ${out}. Read it, and list it in the application.`,
  )
}
