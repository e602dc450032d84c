// What only the settings of a whole Postgres can lack.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { walRequirements } from '../../server/capture/capture.ts'
import { openDatabase, type Database } from '../../server/db/db.ts'
import { hasOwnCluster, openCluster } from '../failure/own-cluster.ts'

describe.skipIf(!hasOwnCluster)('a Postgres that was not set up for capture', () => {
  let cluster: Cluster
  let database: Database

  beforeAll(async () => {
    cluster = await openCluster({ wal_level: 'replica', max_wal_senders: 0, max_replication_slots: 1 })
    database = await openDatabase({ database: { kind: 'postgres', url: cluster.url, poolSize: 2, readUrls: [] } })
    await database.migrate()
  })
  afterAll(async () => {
    await database?.close()
    await cluster?.[Symbol.asyncDispose]()
  })

  test('lacks wal_level, a WAL sender and a slot: each with what it has, and the statement that gives it', async () => {
    await database.pool.query(`select pg_create_physical_replication_slot('other')`)
    const lacks = (await walRequirements(database.pool)).filter(({ ok }) => !ok)
    expect(lacks.map(({ what, found, made }) => ({ what, found, made }))).toEqual([
      { what: 'wal_level', found: 'replica', made: false },
      { what: 'max_wal_senders', found: '0 of 0 in use', made: false },
      { what: 'max_replication_slots', found: '1 of 1 in use', made: false },
    ])
    for (const { what, fix } of lacks) expect(fix).toMatch(new RegExp(`^ALTER SYSTEM SET ${what} = .*; then restart`))
    for (const { fix } of lacks) await database.pool.query(fix.split(';')[0] ?? '')
    await database.pool.query(`select pg_drop_replication_slot('other')`)
    const { rows } = await database.pool.query(
      `select name, setting, applied from pg_file_settings where sourcefile like '%auto.conf' order by name`,
    )
    expect(rows.map(({ name }) => name)).toEqual(['max_replication_slots', 'max_wal_senders', 'wal_level'])
  })
})
