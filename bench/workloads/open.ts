import { checkLightClients, openLightClients } from '../client/light-client.ts'
import { secondsOf } from '../pause.ts'
import { cpuSeconds } from '../stand/process-cpu.ts'
import type { Workload } from '../workload.ts'

export const open: Workload = {
  name: 'open',
  title: 'Opening 1,000 clients, each with its subscription and first sync',
  async run({ stand }) {
    const count = stand.size(1000, 50)
    await using server = await stand.startServer()
    const options = { url: server.url, token: await stand.token(), channel: stand.projects.few.channel }
    const before = cpuSeconds(server.pid)
    const seconds = await secondsOf(async () => {
      using clients = await openLightClients(count, options)
      checkLightClients()
      if (clients.size !== count) throw new Error(`Only ${clients.size} of ${count} clients opened.`)
    })
    const cpu = cpuSeconds(server.pid) - before
    return [
      {
        name: 'time',
        what: `${count} clients, first connect → all live with ${stand.projects.few.tasks} rows each`,
        value: seconds,
        unit: 's',
      },
      { name: 'cpu', what: 'CPU time of the server for that', value: cpu, unit: 's' },
    ]
  },
}
