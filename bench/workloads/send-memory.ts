import { LightClient } from '../client/light-client.ts'
import type { Project } from '../stand/seed.ts'
import type { Workload } from '../workload.ts'

/**
 * The peak of the server's resident memory while it sends a first state; embedded, the database is in that process too.
 */
export const sendMemory: Workload = {
  name: 'send-memory',
  title: 'Server memory while 100,000 rows are sent',
  async run({ stand }) {
    await using server = await stand.startServer()
    const token = await stand.token()
    const sync = async ({ channel }: Project): Promise<number> => {
      server.memory.resetPeak()
      const client = new LightClient({ url: server.url, token, channel })
      await client.live
      client.close()
      return server.memory.peak / 1e6
    }
    const { few, small, large } = stand.projects
    await sync(few)
    const idle = (await server.memory.settled()).resident / 1e6
    const smallPeak = await sync(small)
    const largePeak = await sync(large)
    const where = stand.database === 'embedded' ? ', database included' : ''
    return [
      {
        name: 'peak',
        what: `peak while ${large.tasks} rows are sent${where}`,
        value: largePeak,
        unit: 'MB',
        limit: { what: 'idle, after a collection', value: idle },
      },
      { name: 'small-peak', what: `peak while ${small.tasks} rows are sent`, value: smallPeak, unit: 'MB' },
      { name: 'growth', what: `peak with ${large.tasks} rows above idle`, value: largePeak - idle, unit: 'MB' },
    ]
  },
}
