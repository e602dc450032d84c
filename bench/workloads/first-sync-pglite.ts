import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '../../client-sdk/index.ts'
import { copyOut, pgliteCopy } from '../limits/copy.ts'
import { secondsOf } from '../pause.ts'
import type { Workload } from '../workload.ts'
import { selectTasks } from './first-sync.ts'

export const firstSyncPglite: Workload = {
  name: 'first-sync-pglite',
  title: 'First sync of 100,000 rows into a PGlite replica on disk',
  async run({ stand, progress }) {
    await using server = await stand.startServer()
    const { large } = stand.projects
    const reader = await stand.connect()
    const copy = await copyOut(reader, selectTasks(large))
    const { rows: columns } = await reader.query<{ name: string; type: string }>(
      `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute where attrelid = 'tasks'::regclass and attnum > 0 and not attisdropped order by attnum`,
    )
    await reader.end()
    const limit = await pgliteCopy(columns, copy.chunks)
    progress(`  COPY out ${copy.seconds.toFixed(1)} s, PGlite COPY ${limit.toFixed(1)} s`)
    const dir = await mkdtemp(join(tmpdir(), 'tidewire-bench-replica-'))
    const token = await stand.token()
    let boot = 0
    const start = performance.now()
    const tide = await connect({
      url: server.url,
      token,
      replica: { kind: 'pglite', dir },
      device: { name: 'bench', kind: 'server' },
    })
    boot = (performance.now() - start) / 1000
    const seconds = await secondsOf(async () => {
      const followed = await tide.subscribe({ project: large.id }, { tables: ['tasks'], embeddings: false })
      await followed.ready
    })
    progress(`  complete after ${seconds.toFixed(1)} s; counting`)
    const rows = await tide.tasks.find({ where: { projectId: large.id } })
    await tide.close()
    await rm(dir, { recursive: true, force: true })
    if (rows.length !== large.tasks)
      throw new Error(`The replica was complete with ${rows.length} of ${large.tasks} rows.`)
    return [
      {
        name: 'large',
        what: `${large.tasks} rows, subscribe → complete in the SDK's PGlite replica`,
        value: seconds,
        unit: 's',
        limit: { what: 'PGlite COPY in memory, primary key only', value: limit },
      },
      { name: 'boot', what: 'opening the empty replica before', value: boot, unit: 's' },
    ]
  },
}
