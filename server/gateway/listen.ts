import type { Server } from 'node:http'
import { TideError } from '../../protocol/error.ts'
import type { Config } from '../config.ts'

/** Resolves when it listens. Throws `port_in_use`. */
export async function listen(http: Server, { host, port }: Config): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') reject(error)
      else
        reject(
          new TideError('port_in_use', `Port ${port} of ${host} is taken by another process.`, {
            remedy: `Stop that process, or start with another port: PORT=${port + 1} npx tidewire start`,
            cause: error,
          }),
        )
    })
    http.listen(port, host, resolve)
  })
}
