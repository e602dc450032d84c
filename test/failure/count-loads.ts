import type { Client } from '@tidewire/client'

/** Counts how often the clients load their channels from now on, until it is asked. */
export function countLoads(tides: readonly Client[]): () => number {
  let loads = 0
  const stops = tides.map((tide) => {
    const loading = new Set<string>()
    return tide.onStatus(({ channels }) => {
      for (const { channel, state } of channels) {
        if (state === 'bootstrapping' && !loading.has(channel)) loads++
        if (state === 'bootstrapping') loading.add(channel)
        else loading.delete(channel)
      }
    })
  })
  return () => {
    for (const stop of stops) stop()
    return loads
  }
}
