import { connect } from '../../client-sdk/index.ts'
import { copyOut } from '../limits/copy.ts'
import { until } from '../pause.ts'
import { taskIds } from '../stand/seed.ts'
import { median } from '../statistics.ts'
import type { Workload } from '../workload.ts'
import { reservePositions } from '../writer.ts'
import { selectTasks } from './first-sync.ts'

export const catchUp: Workload = {
  name: 'catch-up',
  title: 'Catch-up after 10,000 rows changed while offline',
  runs: 3,
  async run({ stand }) {
    await using server = await stand.startServer()
    const project = stand.projects.small
    const writer = await stand.connect()
    const ids = await taskIds(writer, project)
    const lastId = ids[ids.length - 1] ?? ''
    const tide = await connect({
      url: server.url,
      token: await stand.token(),
      replica: { kind: 'memory' },
      device: { name: 'bench', kind: 'server' },
    })
    const followed = await tide.subscribe({ project: project.id }, { tables: ['tasks'], embeddings: false })
    await followed.ready
    const seconds: number[] = []
    for (let round = 0; round < 3; round++) {
      const position = reservePositions(1)
      tide.disconnect()
      // Ten commits of a thousand rows: neither one big transaction nor ten thousand small ones.
      for (let from = 0; from < ids.length; from += 1000) {
        await writer.query('update tasks set position = $1 where id = any($2::uuid[])', [
          position,
          ids.slice(from, from + 1000),
        ])
      }
      await settled(server.url)
      const start = performance.now()
      tide.connect()
      await until('the last change on the replica', async () => (await tide.tasks.get(lastId))?.position === position, {
        everyMs: 2,
      })
      seconds.push((performance.now() - start) / 1000)
      const changed = await tide.tasks.find({ where: { projectId: project.id, position } })
      if (changed.length !== project.tasks)
        throw new Error(`The last change was there, but only ${changed.length} of ${project.tasks}.`)
    }
    const copy = await copyOut(writer, selectTasks(project))
    await tide.close()
    await writer.end()
    return [
      {
        name: 'time',
        what: `${project.tasks} rows, connect → all on the SDK's memory replica`,
        value: median(seconds),
        unit: 's',
        limit: { what: 'COPY out of the rows', value: copy.seconds },
      },
    ]
  },
}

/** The server itself should not be still busy capturing what was written: an outage lasts longer than that. */
async function settled(url: string): Promise<void> {
  await until('a ready server', async () => (await fetch(`${url}/ready`)).ok)
  await new Promise((resolve) => setTimeout(resolve, 1500))
}
