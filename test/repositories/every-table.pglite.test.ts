// Every entity goes through its repository: made, read, listed, changed, deleted, restored and removed. The values come
// from docs/schema.md; triggers are on.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { entities } from '../../server/entities/entities.ts'
import type { Key, PatchOf, Repository, Table } from '../../server/repositories/repository.ts'
import { createRepositories, type Repositories, type Unit } from '../../server/repositories/repositories.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { SampleRows, type SqlValues } from '../support/sample-rows.ts'
import { allColumns } from '../support/schema-ddl.ts'
import { readSchemaPage, type DocColumn } from '../support/schema-notation.ts'

const { tables } = readSchemaPage()
const catalog = loadCatalog()
const entityOf = new Map(entities.map((entity) => [entity.meta.tableName, entity as unknown as Table]))
let db: TestDatabase
let repositories: Repositories
let samples: SampleRows

beforeAll(async () => {
  db = await createTestDatabase()
  // The one row of this table is there already.
  await db.database.pool.query('delete from sync_heads')
  repositories = createRepositories({ database: db.database, catalog })
  samples = new SampleRows(db.database.pool, tables)
})
afterAll(() => db.close())

type Values = Readonly<Record<string, unknown>>

/** As entities have them. */
function toEntityValue({ type }: DocColumn, value: unknown): unknown {
  if (type === 'jsonb' && typeof value === 'string') return JSON.parse(value)
  if (type.startsWith('vector') && typeof value === 'string') return Float32Array.from(JSON.parse(value))
  return value
}

async function sample(name: string): Promise<Values> {
  const row = await samples.row(name)
  return toProperties(name, row)
}

function toProperties(name: string, row: SqlValues): Values {
  const columns = allColumns(tables.find((table) => table.name === name) ?? { ...noTable, name })
  return Object.fromEntries(
    catalog.byName.get(name)?.sqlColumns.flatMap(({ name: column, property }) => {
      const doc = columns.find((one) => one.name === column)
      return doc && column in row ? [[property, toEntityValue(doc, row[column])]] : []
    }) ?? [],
  )
}
const noTable = { ...tables[0], columns: [] } as unknown as (typeof tables)[number]

/** Columns of a kind that any text, number or object fits, and that no rule ties to others. */
function changeable(name: string): readonly (readonly [string, unknown])[] {
  const table = catalog.byName.get(name)
  const doc = tables.find((one) => one.name === name)
  if (!table || !doc) throw new Error(`No table ${name}.`)
  // A decision weight is a number.
  if (name === 'user_preferences') return [['value', 0.25]]
  const free = { text: 'other', jsonb: { other: true }, 'text[]': ['other'], integer: 7, bigint: 7, boolean: true }
  return table.sqlColumns.flatMap(({ name: column, property, generated, primary, nullable, sqlType }) => {
    const one = allColumns(doc).find((each) => each.name === column)
    const value = (free as Values)[sqlType === 'int' ? 'integer' : sqlType]
    const isPlain = one && !one.values && !one.check && !one.references && value !== undefined
    const isComputed = ['channel', 'version', 'organizationId'].includes(property) || property in table.revisions
    if (!isPlain || generated || primary || isComputed || table.fixed.includes(property)) return []
    return [[property, nullable || one.length === undefined || one.length[1] > 5 ? value : undefined] as const]
  })
}

/** Charges are reversed instead. */
const unchangeable = new Set(['billing_records'])

const inUnit = <T>(work: (unit: Unit) => Promise<T>): Promise<T> => repositories.withUnit({}, work)

function keyOf(name: string, row: Values): Key {
  return name === 'sync_changes' ? { seq: Number(row['seq']), ordinal: Number(row['ordinal']) } : (row['id'] as Key)
}

describe('a repository', () => {
  test('is there for every table', () => {
    expect([...entityOf.keys()].toSorted()).toEqual(tables.map(({ name }) => name).toSorted())
  })

  test.each(tables.map(({ name }) => name))('makes, reads, changes and deletes a row of %s', async (name) => {
    const values = await sample(name)
    const entity = entityOf.get(name)
    if (!entity) throw new Error(`No entity ${name}.`)
    await inUnit(async (unit) => {
      const repository: Repository<Table> = unit.of(entity)
      const made = (await repository.create(values as never)) as Values
      const key = keyOf(name, made)
      for (const [property, value] of Object.entries(values))
        if (property !== 'channel') expect.soft(comparable(made[property]), property).toEqual(comparable(value))
      expect(await repository.get(key)).toEqual(made)
      expect((await repository.list({ where: keyWhere(key), embeddings: true })).rows).toEqual([made])
      const [property, value] = changeable(name)[0] ?? []
      if (property !== undefined && !unchangeable.has(name)) {
        const changed = (await repository.patch(key, { [property]: value } as PatchOf<Table>)) as Values
        expect(changed[property]).toEqual(value)
      }
      if (typeof key === 'string' && catalog.byName.get(name)?.softDelete) {
        await repository.softDelete(key)
        expect(await repository.get(key)).toBeUndefined()
        expect(await repository.restore(key)).toMatchObject({ deletedAt: null })
      }
      await repository.remove(key)
      expect(await repository.get(key, { withDeleted: true })).toBeUndefined()
      await expect(repository.remove(key)).rejects.toMatchObject({ code: 'not_found' })
    })
  })
})

function keyWhere(key: Key): never {
  return (typeof key === 'object' ? key : { id: key }) as never
}

/** Decimals come as numbers or, when long, as text; bytes in either class. */
function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value]
  if (typeof value === 'string' && /^-?\d+\.\d+$/.test(value)) return Number(value)
  return value
}
