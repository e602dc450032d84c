// A database that belongs to app_owner, as docs/operations.md says: the login is no superuser, and may create no roles.
import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { openDatabase } from '../../server/db/db.ts'
import { inDeviceTransaction } from '../../server/scope/device-transaction.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { administer } from '../support/postgres-admin.ts'
import { postgresUrl } from '../support/services.ts'

test('a login that may create no roles migrates as app_owner, and writes under app_rw', async () => {
  const admin = postgresUrl()
  const name = `tw_owned_${randomUUID().replaceAll('-', '').slice(0, 12)}`
  const at = (changes: Partial<URL>): string => Object.assign(new URL(admin), { pathname: `/${name}`, ...changes }).href
  const make = ['app_owner', 'app_rw', 'app_feed', 'app_readonly'].map(
    (role) =>
      `do $$ begin create role ${role} nologin; exception when duplicate_object or unique_violation then null; end $$`,
  )
  await administer(
    admin,
    ...make,
    `create role ${name} login password 'x' in role app_owner, app_rw`,
    `alter role ${name} set role = app_owner`,
    `create database ${name} owner app_owner template template0`,
  )
  try {
    await administer(at({}), 'create extension vector')
    const url = at({ username: name, password: 'x' })
    const database = await openDatabase({ database: { kind: 'postgres', url, poolSize: 2, readUrls: [] } })
    try {
      await database.migrate()
      const { rows: owners } = await database.pool.query(
        `select distinct tableowner from pg_tables where schemaname in ('public', 'sync')`,
      )
      expect(owners).toEqual([{ tableowner: 'app_owner' }])
      const id = randomUUID()
      const principal = { organizationId: id, kind: 'user', id, deviceId: id } as const
      const options = { pool: database.pool, clock: systemClock, random: systemRandom }
      const who = 'select current_user as role'
      expect(
        await inDeviceTransaction(options, principal, async ({ client }) => (await client.query(who)).rows),
      ).toEqual([{ role: 'app_rw' }])
      expect((await database.pool.query(who)).rows).toEqual([{ role: 'app_owner' }])
      expect(await database.rollback()).toBeDefined()
      expect(await database.migrate()).toHaveLength(1)
    } finally {
      await database.close()
    }
  } finally {
    await administer(admin, `drop database if exists ${name} with (force)`, `drop role ${name}`)
  }
})
