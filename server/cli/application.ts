import { existsSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import { tableSpec } from '../entities/define.ts'
import type { Application } from '../tide-server.ts'

const list = z.array(z.unknown()).optional()
const applicationSchema = z.object({ entities: list, migrations: list, actions: list })

/**
 * The application that a module exports, by default or by the names `entities`, `migrations` and `actions`. `path`:
 * absolute. Throws `config_invalid` when there is none in it.
 */
export async function loadApplication(path: string): Promise<Application> {
  if (!existsSync(path)) throw wrong(path, 'there is no such file')
  const module = (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>
  const given = module['default'] ?? module
  const { success, data } = applicationSchema.safeParse(given)
  if (!success) throw wrong(path, 'entities, migrations and actions must be lists')
  const { entities = [], migrations = [], actions = [] } = data
  if (entities.length + migrations.length + actions.length === 0)
    throw wrong(path, 'it exports none of entities, migrations and actions')
  for (const entity of entities) if (!isTable(entity)) throw wrong(path, 'an entity was not made by defineTable')
  if (!migrations.every((one) => typeof one === 'function')) throw wrong(path, 'a migration is not a class')
  return given
}

function isTable(entity: unknown): boolean {
  const { success, data } = z.object({ meta: z.object({ tableName: z.string() }) }).safeParse(entity)
  return success && tableSpec(data.meta.tableName).table === data.meta.tableName
}

function wrong(path: string, why: string): TideError {
  return new TideError('config_invalid', `The application ${path} cannot be used: ${why}.`, {
    remedy:
      'Export `entities`, `migrations` and `actions` from the module of --app or TIDEWIRE_APP (docs/embedding.md).',
  })
}
