// A copy of a cluster that streams from it, and may take its place.
import pg from 'pg'
import { defaultSettings, type Cluster, type Settings } from '../../scripts/postgres-cluster.ts'
import { freePort } from '../../scripts/processes.ts'

export interface Standby {
  readonly port: number
  query<R extends pg.QueryResultRow>(text: string): Promise<readonly R[]>
  /** Resolves when it takes writes. */
  promote(): Promise<void>
  stop(): void
}

export interface StandbyOptions {
  readonly settings?: Settings
  /** A slot of the cluster that keeps for it what it has not got. */
  readonly slot?: string
}

/** It is called `walreceiver`, for `synchronous_standby_names`. */
export async function startStandby(cluster: Cluster, { settings = {}, slot }: StandbyOptions = {}): Promise<Standby> {
  const { inside } = cluster.folder('standby')
  const port = await freePort()
  const ofSlot = slot === undefined ? [] : ['-S', slot]
  cluster.program('pg_basebackup', '-D', inside, '-d', cluster.url, '-R', '-c', 'fast', '--no-sync', ...ofSlot)
  const flags: Settings = { ...defaultSettings, port, ...settings }
  const options = Object.entries(flags).map(([name, value]) => `-c ${name}=${value === '' ? "''" : value}`)
  cluster.program('pg_ctl', '-D', inside, '-w', '-t', '120', '-l', `${inside}/log`, '-o', options.join(' '), 'start')
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' })
  client.on('error', () => undefined)
  await client.connect()
  return {
    port,
    query: async <R extends pg.QueryResultRow>(text: string) => (await client.query<R>(text)).rows,
    promote: async () => void (await client.query('select pg_promote(true, 120)')),
    stop: () => {
      void client.end().catch(() => undefined)
      cluster.program('pg_ctl', '-D', inside, '-m', 'immediate', '-w', 'stop')
    },
  }
}
