// A Postgres as it comes, and a login that may do little: what is missing is said before anything is made, with the
// statement.
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { walRequirements } from '../../server/capture/capture.ts'
import { findMissingExtensions, openDatabase, type Database } from '../../server/db/db.ts'
import { postgresUrl } from '../support/services.ts'

const name = `tw_bare_${randomUUID().replaceAll('-', '').slice(0, 12)}`
let admin: pg.Client
let database: Database

beforeAll(async () => {
  admin = new pg.Client({ connectionString: postgresUrl() })
  await admin.connect()
  await admin.query(`create role ${name} login password 'x'`)
  await admin.query(`create database ${name} owner ${name} template template0`)
  const url = Object.assign(new URL(postgresUrl()), { pathname: `/${name}`, username: name, password: 'x' }).href
  database = await openDatabase({ database: { kind: 'postgres', url, poolSize: 2, readUrls: [] } })
})
afterAll(async () => {
  await database.close()
  await admin.query(`drop database if exists ${name} with (force)`)
  await admin.query(`drop role ${name}`)
  await admin.end()
})

test('what capture from the WAL needs is known before the first migration', async () => {
  const findings = await walRequirements(database.pool)
  expect(findings.map(({ what }) => what)).toContain('wal_level')
  expect(findings.filter(({ ok }) => !ok)).toMatchObject([
    { what: 'replication right', found: `${name} lacks it`, fix: expect.stringContaining(`ALTER ROLE "${name}"`) },
  ])
})

test('a migration that may not make an extension ends with the statement for an administrator', async () => {
  expect(await findMissingExtensions(database.pool)).toMatchObject({
    names: ['vector', 'pg_trgm', 'pgcrypto', 'btree_gin'],
  })
  await expect(database.migrate()).rejects.toMatchObject({
    code: 'extension_missing',
    message: expect.stringContaining('its login may not make them'),
    remedy: expect.stringMatching(new RegExp(`in the database ${name}: CREATE EXTENSION IF NOT EXISTS "vector";`)),
  })
})
