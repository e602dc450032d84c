import { PGlite } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'
import { describeParity } from './filter-parity.ts'

describeParity(async () => {
  const db = await PGlite.create({ extensions: { vector } })
  return {
    query: async (sql, params) => (await db.query<{ id?: unknown }>(sql, params)).rows,
    close: () => db.close(),
  }
})
