// A HAProxy with the configuration that ships.
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { freePort, untilAnswering } from '../../scripts/processes.ts'
import { findServices } from '../../scripts/services.ts'

const configuration = fileURLToPath(new URL('../../deploy/haproxy.cfg', import.meta.url))
const { haproxy } = findServices()

export const hasHaproxy = haproxy.kind !== 'missing'

export interface Haproxy {
  readonly url: string
  readonly process: ChildProcess
}

/** Waits until one of the servers can be reached through it. */
export async function startHaproxy(servers: readonly string[]): Promise<Haproxy> {
  const listen = `127.0.0.1:${await freePort()}`
  const [one = '', two = ''] = servers.map((url) => new URL(url).host)
  // As its image starts it.
  const child = spawnHaproxy(['-W', '-db'], { listen, one, two })
  const url = `http://${listen}`
  await untilAnswering(
    child,
    'HAProxy',
    async () => (await fetch(`${url}/ready`).catch(() => undefined))?.status === 200,
  )
  return { url, process: child }
}

export function spawnHaproxy(
  args: readonly string[],
  { listen, one, two }: { readonly listen: string; readonly one: string; readonly two: string },
): ChildProcess {
  if (haproxy.kind === 'missing') throw new Error(haproxy.why)
  return spawn(haproxy.at, [...args, '-f', configuration], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TIDEWIRE_LISTEN: listen, TIDEWIRE_SERVER_1: one, TIDEWIRE_SERVER_2: two },
  })
}
