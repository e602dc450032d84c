/** The life of a server from `listen` to `close`. What it is made of is put together in `compose.ts`. */
import type { AddressInfo } from 'node:net'
import { systemClock, type Clock } from '../lib/clock.ts'
import { TideError } from '../protocol/error.ts'
import { compose, type Application, type Composed } from './compose.ts'
import type { Config } from './config.ts'
import type { Credentials } from './credentials/credentials.ts'
import type { Database } from './db/db.ts'
import type { Repositories } from './repositories/repositories.ts'
import { silentLog, type Log } from './telemetry/telemetry.ts'

export { createPusher, type Application } from './compose.ts'

export interface ServerOptions extends Application {
  readonly clock?: Clock
  readonly log?: Log
  /** Hears what is being done while the server starts. */
  readonly onProgress?: (text: string) => void
}

export interface TideServer {
  /** Opens the database, applies pending migrations and listens. Errors: those of `openDatabase`, and `port_in_use`. */
  listen(): Promise<void>
  /**
   * Serves on for `shutdownDelayMs`, while `/ready` says 503. Then takes no more connections, finishes what is in
   * flight, and closes the database.
   */
  close(): Promise<void>
  /** Where it listens; the port is the real one when the configured is 0. Throws `closed` before `listen`. */
  readonly address: AddressInfo
  readonly url: string
  /** Throws `closed` before `listen`. */
  readonly database: Database
  /** Typed reading and writing of every table, for code in this process. Throws `closed` before `listen`. */
  readonly repositories: Repositories
  /** Secrets of third parties, of all organizations, for code in this process. Throws `closed` before `listen`. */
  readonly credentials: Credentials
  /** Resolves with a sentence when the server can no longer work. */
  readonly failed: Promise<string>
}

/** Makes a server; nothing happens before `listen`. */
export function createServer(config: Config, options: ServerOptions = {}): TideServer {
  const { clock = systemClock, log = silentLog, onProgress = () => undefined, ...application } = options
  const failed = Promise.withResolvers<string>()
  let starting: Promise<Composed> | undefined
  let running: Composed | undefined
  const now = (): Composed => {
    if (running) return running
    throw new TideError('closed', 'The server does not run.', { remedy: 'Call listen() first.' })
  }
  return {
    failed: failed.promise,
    get database() {
      return now().database
    },
    get repositories() {
      return now().repositories
    },
    get credentials() {
      return now().credentials
    },
    get address() {
      const address = now().http.address()
      if (address !== null && typeof address !== 'string') return address
      throw new TideError('closed', 'The server does not listen.')
    },
    get url() {
      const { address, port, family } = this.address
      return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
    },
    async listen() {
      starting = compose(config, { clock, log, application, onProgress, onFailed: failed.resolve })
      running = await starting
      log.debug('Listening', { host: config.host, port: this.address.port })
    },
    async close() {
      // A start that failed has left nothing open.
      const last = await starting?.catch(() => undefined)
      await last?.close()
      if (running === undefined) return
      running = undefined
      log.info('Closed')
    },
  }
}
