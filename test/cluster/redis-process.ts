// A Redis of the test's own, to kill and start again on the same port.
import type { ChildProcess } from 'node:child_process'
import { connect } from 'node:net'
import { installedRedis } from '../../scripts/services.ts'
import { freePort, launch, stop, untilAnswering } from '../../scripts/processes.ts'
import { endWithUs } from '../support/end-with-us.ts'

export interface RedisProcess {
  readonly port: number
  readonly url: string
  kill(): Promise<void>
  start(): Promise<void>
}

/**
 * Whether there is one to start: what a cluster is joined by is killed and cut off, so it is never a server of somebody
 * else.
 */
export const hasRedis = installedRedis() !== undefined

export async function startRedis(): Promise<RedisProcess> {
  const program = installedRedis()
  if (program === undefined) throw new Error('Redis must be installed here, so that it can be killed.')
  const port = await freePort()
  let child: ChildProcess | undefined
  const start = async (): Promise<void> => {
    child = launch([program, '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'])
    endWithUs(child)
    await untilAnswering(child, `Redis on port ${port}`, () => answers(port))
  }
  await start()
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    start,
    async kill() {
      if (child) await stop(child, 'SIGKILL')
    },
  }
}

async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.once('data', (data) => {
      resolve(data.toString().startsWith('+PONG'))
      socket.destroy()
    })
    socket.once('error', () => resolve(false))
  })
}
