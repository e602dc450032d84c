import type { createAdapter } from '@socket.io/redis-streams-adapter'
import type { AdapterClient } from '../cluster/cluster.ts'

export type OpenedAdapter = ReturnType<typeof createAdapter>

/**
 * socket.io's adapter over a stream in Redis; all its keys and channels begin with `prefix`. Loaded only where there is
 * a Redis.
 */
export async function openAdapter(client: AdapterClient, prefix: string): Promise<OpenedAdapter> {
  const { createAdapter } = await import('@socket.io/redis-streams-adapter')
  return createAdapter(client, { streamName: `${prefix}:socket.io`, channelPrefix: `${prefix}:socket.io` })
}
