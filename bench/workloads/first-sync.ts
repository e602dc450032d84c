import { connect } from '../../client-sdk/index.ts'
import { LightClient } from '../client/light-client.ts'
import { copyOut } from '../limits/copy.ts'
import { secondsOf } from '../pause.ts'
import type { Project } from '../stand/seed.ts'
import type { Server } from '../stand/server.ts'
import type { Stand } from '../stand/stand.ts'
import { median } from '../statistics.ts'
import type { Workload } from '../workload.ts'

export const firstSync: Workload = {
  name: 'first-sync',
  title: 'First sync of 10,000 and of 100,000 rows into a memory replica',
  runs: 3,
  async run({ stand }) {
    await using server = await stand.startServer()
    const { small, large } = stand.projects
    const reader = await stand.connect()
    const copies = {
      small: await copyOut(reader, selectTasks(small)),
      large: await copyOut(reader, selectTasks(large)),
    }
    await reader.end()
    const smallSeconds = await syncRepeatedly(stand, server, small, 3)
    const largeSeconds = await syncRepeatedly(stand, server, large, 3)
    const wire = await syncLight(stand, server, large)
    return [
      {
        name: 'small',
        what: `${small.tasks} rows, connect → complete in the SDK's memory replica`,
        value: smallSeconds,
        unit: 's',
        limit: { what: 'COPY out', value: copies.small.seconds },
      },
      {
        name: 'large',
        what: `${large.tasks} rows, the same`,
        value: largeSeconds,
        unit: 's',
        limit: { what: 'COPY out', value: copies.large.seconds },
      },
      {
        name: 'wire',
        what: `${large.tasks} rows, received by a light client that keeps nothing`,
        value: wire.seconds,
        unit: 's',
        limit: { what: 'COPY out', value: copies.large.seconds },
      },
      {
        name: 'bytes',
        what: `${large.tasks} rows, bytes of all frames`,
        value: wire.bytes / 1e6,
        unit: 'MB',
        limit: { what: 'COPY out', value: copies.large.bytes / 1e6 },
      },
    ]
  },
}

/** All columns of the project's tasks, as COPY wants it. */
export function selectTasks(project: Project): string {
  return `select * from tasks where project_id = '${project.id}'`
}

async function syncRepeatedly(stand: Stand, server: Server, project: Project, times: number): Promise<number> {
  const seconds: number[] = []
  const token = await stand.token()
  for (let round = 0; round < times; round++) {
    const start = performance.now()
    const tide = await connect({
      url: server.url,
      token,
      replica: { kind: 'memory' },
      device: { name: 'bench', kind: 'server' },
    })
    const followed = await tide.subscribe({ project: project.id }, { tables: ['tasks'], embeddings: false })
    await followed.ready
    seconds.push((performance.now() - start) / 1000)
    const rows = await tide.tasks.find({ where: { projectId: project.id } })
    await tide.close()
    if (rows.length !== project.tasks)
      throw new Error(`The replica was complete with ${rows.length} of ${project.tasks} rows.`)
  }
  return median(seconds)
}

async function syncLight(
  stand: Stand,
  server: Server,
  project: Project,
): Promise<{ readonly seconds: number; readonly bytes: number }> {
  const token = await stand.token()
  let bytes = 0
  const seconds = await secondsOf(async () => {
    const client = new LightClient({ url: server.url, token, channel: project.channel })
    await client.live
    bytes = client.bytes
    client.close()
  })
  return { seconds, bytes }
}
