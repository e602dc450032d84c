// The ways to Postgres that DATABASE_URL may name, each gone by all that a server opens: ORM and migrations, pools, the
// stream of the WAL, notifications.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { installedPostgres } from '../../scripts/services.ts'
import { hasOwnCluster, openCluster } from '../failure/own-cluster.ts'
import { openStage } from '../failure/stage.ts'
import { addTask } from '../failure/writers.ts'

const installation = installedPostgres()
const root = installation?.kind === 'bootstrapped' ? installation.root : ''
/** A certificate that signs itself, which Debian's package of Postgres brings. */
const certificate = '/etc/ssl/certs/ssl-cert-snakeoil.pem'
/** Of the sockets, as this process sees it. */
const sockets = join(root, '/tmp')
const hasCertificate = existsSync(join(root, certificate))
if (hasOwnCluster && !hasCertificate)
  process.stderr.write('LEFT OUT: a Postgres that wants TLS: no certificate of the package ssl-cert here.\n')

/** A Postgres that takes TCP connections by TLS alone, but for those that look after it. */
async function wantTls(cluster: Cluster): Promise<void> {
  const lines = [
    'local all all trust',
    'hostssl all all all trust',
    'hostssl replication all all trust',
    'hostnossl postgres all all trust',
  ]
  writeFileSync(join(cluster.data, 'pg_hba.conf'), `${lines.join('\n')}\n`)
  await cluster.stop()
  await cluster.start()
}

describe.skipIf(!hasOwnCluster || !hasCertificate)('a server reaches Postgres', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await openCluster({
      ...{ ssl: 'on', ssl_cert_file: certificate, ssl_key_file: '/etc/ssl/private/ssl-cert-snakeoil.key' },
      unix_socket_directories: '/tmp',
    })
    await wantTls(cluster)
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  test.for([
    ['by TLS that nobody checks', '127.0.0.1', 'sslmode=no-verify'],
    [
      'by TLS with a certificate that is checked',
      '127.0.0.1',
      `sslmode=verify-ca&uselibpqcompat=true&sslrootcert=${join(root, certificate)}`,
    ],
    ['by a Unix socket', encodeURIComponent(sockets), ''],
  ] as const)('%s', async ([, host, query]) => {
    await using stage = await openStage({ cluster: `postgres://postgres@${host}:${cluster.port}/postgres?${query}` })
    const client = await stage.open('ada')
    await addTask(stage, 'By SQL')
    const own = await client.tasks.insert({ projectId: stage.projectId, title: 'By a client' })
    await own.$write.wait('synced')
    await stage.expectEqual([client])
    const [connections] = await stage.sql<{ plain: number; all: number }>(
      `select count(*)::int as all, count(*) filter (where not s.ssl and a.client_addr is not null)::int as plain
       from pg_stat_activity a join pg_stat_ssl s using (pid) where a.datname = current_database()`,
    )
    expect(connections?.all).toBeGreaterThan(3)
    expect(connections?.plain).toBe(0)
  })
})
