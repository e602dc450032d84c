// The settings that docker-compose.yml gives a server, on a Postgres that asks for the password.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { expect, test } from 'vitest'
import { postgresPrograms } from '../../scripts/services.ts'
import { hasOwnCluster, openCluster } from '../failure/own-cluster.ts'
import { startServerProcess } from '../support/server-process.ts'
import { compose, secrets } from './compose-file.ts'

test.skipIf(!hasOwnCluster)(
  'a password may have any characters',
  async () => {
    await using cluster = await openCluster()
    const admin = new pg.Client({ connectionString: cluster.url })
    await admin.connect()
    await admin.query(`create role tidewire superuser login password '${secrets.POSTGRES_PASSWORD}'`)
    await admin.query('create database tidewire owner tidewire')
    await admin.end()
    await cluster.stop()
    // The tests' own role is let in, so that the cluster can be seen to answer.
    const rules = ['all postgres all trust', 'all tidewire all scram-sha-256', 'replication tidewire all scram-sha-256']
    writeFileSync(join(cluster.data, 'pg_hba.conf'), rules.map((rule) => `host ${rule}\n`).join(''))
    await cluster.start()
    const home = mkdtempSync(join(tmpdir(), 'tidewire-password-'))
    const keys = { ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}` }
    const given = compose({ ...secrets, ...keys }).service('server1').environment ?? {}
    const bin = postgresPrograms()
    const server = await startServerProcess(join(home, 'data'), {
      ...given,
      DATABASE_URL: given['DATABASE_URL']?.replace('@postgres:5432', `@127.0.0.1:${cluster.port}`) ?? '',
      REDIS_URL: '',
      SHUTDOWN_DELAY_MS: '0',
      BACKUP_DIR: join(home, 'backups'),
      ...(bin === undefined ? {} : { POSTGRES_BIN: bin }),
    })
    try {
      await server.logged(({ msg }) => msg === 'Writing the change log')
      expect(await server.cli('backup')).toContain(join(home, 'backups'))
    } finally {
      await server.stop()
      rmSync(home, { recursive: true, force: true })
    }
  },
  120_000,
)
