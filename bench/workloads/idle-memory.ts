import { openLightClients } from '../client/light-client.ts'
import { idleMemory as bareIdleMemory } from '../limits/broadcast.ts'
import { pause } from '../pause.ts'
import type { Workload } from '../workload.ts'

/**
 * Resident memory per connection after a collection on both sides, so that garbage does not count as memory per
 * connection.
 */
export const idleMemory: Workload = {
  name: 'idle-memory',
  title: 'Server memory per idle connection, 1,000 connections',
  async run({ stand }) {
    const count = stand.size(1000, 100)
    const raw = await bareIdleMemory('ws', count)
    const bare = await bareIdleMemory('socket.io', count)
    await using server = await stand.startServer()
    const options = { url: server.url, token: await stand.token(), channel: stand.projects.few.channel }
    // The first connections load code and fill pools, here as in the bare servers.
    using warm = await openLightClients(50, options)
    await pause(1000)
    const perConnection = async (): Promise<{ readonly resident: number; readonly held: number }> => {
      const before = await server.memory.settled()
      using clients = await openLightClients(count, options)
      await pause(3000)
      const after = await server.memory.settled()
      const kib = (bytes: number): number => bytes / 1024 / clients.size
      return { resident: kib(after.resident - before.resident), held: kib(after.held - before.held) }
    }
    const { resident, held } = await perConnection()
    await pause(3000)
    const again = await perConnection()
    return [
      {
        name: 'connection',
        what: `resident, per connection of ${count} (after ${warm.size} others), each with a subscription and its first sync`,
        value: resident,
        unit: 'KiB',
        limit: { what: `bare socket.io; raw ws ${Math.round(raw.resident / 1024)} KiB`, value: bare.resident / 1024 },
      },
      {
        name: 'above-socket-io',
        what: 'the same above bare socket.io',
        value: resident - bare.resident / 1024,
        unit: 'KiB',
      },
      {
        name: 'again',
        what: 'the same when as many had been open before: what their burst of first syncs left is used again',
        value: again.resident,
        unit: 'KiB',
      },
      {
        name: 'held',
        what: 'heap and buffers held, per connection',
        value: held,
        unit: 'KiB',
        limit: { what: 'bare socket.io', value: bare.held / 1024 },
      },
    ]
  },
}
