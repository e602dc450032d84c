// Embeddings of more dimensions than a graph over whole vectors takes.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createWorld, insert, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { nearestIds } from './nearest-ids.ts'

const dimension = 3072

export function describeLongVectors(kind: 'embedded' | 'postgres'): void {
  let db: TestDatabase
  let world: World
  beforeAll(async () => {
    db = await createTestDatabase({ kind })
    // As new again, which is quicker than new.
    await db.database.pool.query(`delete from system_settings where key = 'embedding.dimension'`)
    await db.database.migrate(undefined, { dimension })
    world = await createWorld(db.database.pool)
  })
  afterAll(() => db.close())

  const towards = (n: number): Float32Array =>
    Float32Array.from({ length: dimension }, (_, index) => (index === n ? 1 : index % 7 === n % 7 ? 0.01 : 0))

  test.each([
    ['the graph', 0],
    ['comparing', 10_000],
  ])(`vectors of ${dimension} dimensions are found by %s`, async (_, exactRows) => {
    const { pool } = db.database
    const ids: string[] = []
    for (let n = 0; n < 20; n++) {
      const { id } = await insert(pool, 'memories', {
        ...{ organization_id: world.organization, scope: 'organization', content: `${exactRows} ${n}` },
        embedding: `[${towards(n).join()}]`,
      })
      ids.push(id)
    }
    const client = await pool.connect()
    await client.query('begin')
    // Twenty rows are quicker compared whatever there is.
    await client.query('set local enable_seqscan = off; set local enable_sort = off')
    const plans: string[] = []
    const found = await nearestIds(
      async <R extends object>({ text, values = [] }: { text: string; values?: readonly unknown[] }) => {
        if (text.includes('<=>')) plans.push(JSON.stringify((await client.query(`explain ${text}`, [...values])).rows))
        return (await client.query<R>(text, [...values])).rows
      },
      {
        ...{ table: 'memories', column: 'embedding', vector: towards(5), limit: 3 },
        ...{
          condition: `t.status = 'active' and t.deleted_at is null and t.content like $1`,
          values: [`${exactRows} %`],
        },
      },
      exactRows,
    )
    await client.query('rollback')
    client.release()
    expect(found[0]).toBe(ids[5])
    // What points the same way a little, and so lies nearer than the rest.
    expect(new Set(found)).toEqual(new Set([ids[5], ids[12], ids[19]]))
    expect(plans.some((plan) => plan.includes('memories_embedding_hnsw'))).toBe(exactRows === 0)
  })
}
