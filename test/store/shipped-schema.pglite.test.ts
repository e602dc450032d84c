import { afterAll, beforeAll, expect, test } from 'vitest'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { createPgliteStore } from '../../client-sdk/store/pglite-store.ts'
import type { ReplicaStore } from '../../client-sdk/store/store.ts'
import { idOf } from '../../client-sdk/testing/contract-rows.ts'
import { seededRandom, type Random } from '../../lib/random.ts'
import { packRows } from '../../protocol/rows/block-codec.ts'
import type { Row, Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor, Schema, TableDescriptor } from '../../protocol/rows/table.ts'
import { sharePglite, type SharedPglite } from './fresh-pglite.ts'

const schema: Schema = shippedSchema
let shared: SharedPglite
let stores: readonly ReplicaStore[]

beforeAll(async () => {
  shared = await sharePglite()
  stores = [createMemoryStore(schema), await createPgliteStore({ schema, open: async () => shared.database })]
})
afterAll(() => shared.close())

function valueOf(
  { type, values, precision = 15, scale = 0, dimension = 0 }: ColumnDescriptor,
  number: number,
  random: Random,
): Value {
  const whole = Math.floor(random.next() * 1000)
  switch (type) {
    case 'uuid':
      return idOf(whole)
    case 'text':
      return values?.[number % values.length] ?? `text ${whole}`
    case 'integer':
    case 'bigint':
      return whole
    case 'numeric':
      return precision <= 15 ? Number((random.next() * 0.9).toFixed(scale)) : (random.next() * 0.9).toFixed(scale)
    case 'double':
      return random.next()
    case 'boolean':
      return whole % 2 === 0
    case 'timestamptz':
      return new Date(1.7e12 + whole * 1234).toISOString()
    case 'date':
      return new Date(1.7e12 + whole * 86_400_000).toISOString().slice(0, 10)
    case 'interval':
      return `${1 + whole} days`
    case 'jsonb':
      return { whole, list: [true, null] }
    case 'text[]':
      return [`a${whole}`, 'b']
    case 'bytea':
      return btoa(`bytes ${whole}`)
    case 'inet':
      return `10.0.0.${whole % 256}`
    case 'vector':
      return Float32Array.from({ length: dimension }, () => random.next())
  }
}

function rowsOf(table: TableDescriptor, count: number, random: Random): Row[] {
  return Array.from({ length: count }, (_, number) => {
    const entries = Object.entries(table.columns).map(([key, column]) => {
      const isNull = key !== 'id' && column.nullable === true && random.next() < 0.3
      return [key, key === 'id' ? idOf(number) : isNull ? null : valueOf(column, number, random)] as const
    })
    return Object.fromEntries(entries)
  })
}

test.each(Object.values(schema).map((table) => ({ name: table.name, table })))(
  'keeps rows of $name as they are',
  async ({ name, table }) => {
    const random = seededRandom(name.length)
    const rows = rowsOf(table, 250, random)
    const ids = rows.map((row) => String(row['id']))
    for (const store of stores) {
      await store.commit({
        blocks: [packRows(table, rows.slice(0, 220), { embeddings: true })],
        rows: [{ table: name, upserts: rows.slice(220), deletes: [] }],
      })
      expect(await store.rows(name, ids)).toEqual(rows)
    }
  },
)
