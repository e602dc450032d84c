import pg from 'pg'
import type { CancelTimer, Clock } from '../../lib/clock.ts'
import type { Log } from '../telemetry/telemetry.ts'

export interface Notification {
  readonly channel: string
  readonly payload: string
}

/** One listening connection for the whole process; comes back by itself and then says `{ channel: '', payload: '' }`, since it may have missed some. */
export interface Notifications {
  listen(channel: string): Promise<void>
  add(listener: (notification: Notification) => void): () => void
  emit(notification: Notification): void
  close(): Promise<void>
}

const retryMs = 1000

export function createNotifications(
  connection: pg.ClientConfig,
  deps: { readonly clock: Clock; readonly log: Log },
): Notifications {
  const listeners = new Set<(notification: Notification) => void>()
  const channels = new Set<string>()
  let client: Promise<pg.Client> | undefined
  let cancelRetry: CancelTimer | undefined
  let closed = false

  const emit = (notification: Notification): void => {
    for (const listener of listeners) listener(notification)
  }

  async function connect(): Promise<pg.Client> {
    const fresh = new pg.Client(connection)
    const lost = (): void => {
      fresh.removeAllListeners('end')
      if (closed) return
      client = undefined
      cancelRetry = deps.clock.after(retryMs, () => void again())
    }
    fresh.on('error', (error) => deps.log.error('The listening connection broke', { error: error.message }))
    fresh.on('end', lost)
    fresh.on('notification', ({ channel, payload }) => emit({ channel, payload: payload ?? '' }))
    await fresh.connect()
    for (const channel of channels) await fresh.query(`listen ${pg.escapeIdentifier(channel)}`)
    return fresh
  }

  async function again(): Promise<void> {
    try {
      client = connect()
      await client
      emit({ channel: '', payload: '' })
    } catch {
      client = undefined
      if (!closed) cancelRetry = deps.clock.after(retryMs, () => void again())
    }
  }

  return {
    emit,
    async listen(channel) {
      if (channels.has(channel)) return
      channels.add(channel)
      if (client) await (await client).query(`listen ${pg.escapeIdentifier(channel)}`)
      else await (client = connect())
    },
    add(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async close() {
      closed = true
      cancelRetry?.()
      const last = await client?.catch(() => undefined)
      await last?.end()
    },
  }
}
