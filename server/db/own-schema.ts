import { readdir } from 'node:fs/promises'
import { parse } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Migration } from '@mikro-orm/migrations'
import { TideError } from '../../protocol/error.ts'
import type { TableEntity } from '../entities/define.ts'

/** A class of an application that makes, or changes, its tables; its name is what the ledger keeps. */
export type OwnMigration = new (...given: ConstructorParameters<typeof Migration>) => Migration

/** The tables of an application: beside the shipped ones, and like them in everything. */
export interface OwnSchema {
  readonly entities?: readonly TableEntity[]
  /** In their order; they run after all shipped ones. */
  readonly migrations?: readonly OwnMigration[]
}

const folder = fileURLToPath(new URL('../../migrations', import.meta.url))

/** File names of the shipped migrations, in their order. */
export async function shippedMigrationFiles(): Promise<readonly string[]> {
  return (await readdir(folder)).filter((name) => /^Migration.*(?<!\.d)\.[jt]s$/.test(name)).toSorted()
}

/**
 * What is to be applied, in order, by name. Throws `invalid_schema` when a migration of the application has no name of
 * its own.
 */
export async function migrationNames({ migrations = [] }: OwnSchema): Promise<readonly string[]> {
  const shipped = (await shippedMigrationFiles()).map((file) => parse(file).name)
  const own = migrations.map(({ name }) => name)
  const taken = own.find((name, index) => name === '' || shipped.includes(name) || own.indexOf(name) !== index)
  if (taken === undefined) return [...shipped, ...own]
  throw new TideError('invalid_schema', `There are two migrations ${JSON.stringify(taken)}. Rename the class of one.`)
}

/** The shipped migrations and those of the application as MikroORM takes them, where there are any of the latter. */
export async function migrationList(own: OwnSchema): Promise<readonly { name: string; class: OwnMigration }[]> {
  await migrationNames(own)
  const shipped = await Promise.all(
    (await shippedMigrationFiles()).map(async (file) => {
      const { name } = parse(file)
      const module = (await import(pathToFileURL(`${folder}/${file}`).href)) as Readonly<Record<string, OwnMigration>>
      const Made = module[name]
      if (!Made) throw new Error(`${file} exports no class ${name}.`)
      return { name, class: Made }
    }),
  )
  return [...shipped, ...(own.migrations ?? []).map((Made) => ({ name: Made.name, class: Made }))]
}
