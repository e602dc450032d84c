import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { postgresUrl } from '../support/services.ts'
import { describeParity } from './filter-parity.ts'

// A database that sorts as people do, unlike PGlite, which sorts by code point anyway.
describeParity(async () => {
  const admin = new pg.Client({ connectionString: postgresUrl() })
  await admin.connect()
  const name = `tw_${randomUUID().replaceAll('-', '')}`
  await admin.query(
    `create database ${name} template template0 locale_provider icu icu_locale 'en-US' locale 'C.UTF-8'`,
  )
  const db = new pg.Client({ connectionString: Object.assign(new URL(postgresUrl()), { pathname: `/${name}` }).href })
  await db.connect()
  return {
    query: async (sql, params) => (await db.query<{ id?: unknown }>(sql, params)).rows,
    async close() {
      await db.end()
      await admin.query(`drop database ${name} with (force)`)
      await admin.end()
    },
  }
})
