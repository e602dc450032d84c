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

/** Waits until each of the servers can be reached through it: at first it may take one for away that is busy. */
export async function startHaproxy(servers: readonly string[]): Promise<Haproxy> {
  const listen = `127.0.0.1:${await freePort()}`
  const [one = '', two = ''] = servers.map((url) => new URL(url).host)
  // As its image starts it.
  const child = spawnHaproxy(['-W', '-db'], { listen, one, two })
  const url = `http://${listen}`
  // Who comes with the cookie of a server that is away is sent to the other, and given the cookie of that one.
  const reaches = async (server: string): Promise<boolean> => {
    const headers = { cookie: `tidewire=${server}` }
    const answer = await fetch(`${url}/ready`, { headers }).catch(() => undefined)
    return answer?.status === 200 && answer.headers.getSetCookie().length === 0
  }
  await untilAnswering(child, 'HAProxy', async () => (await reaches('one')) && (await reaches('two')))
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
