import pg from 'pg'
import type { CancelTimer, Clock } from '../../lib/clock.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'

export interface Notification {
  readonly channel: string
  readonly payload: string
}

/**
 * One listening connection for the whole process; comes back by itself and then says `{ channel: '', payload: '' }`,
 * since it may have missed some.
 */
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
  let cancelRetry: CancelTimer = () => undefined
  let closed = false

  const emit = (notification: Notification): void => {
    for (const listener of listeners) {
      try {
        listener(notification)
      } catch (error) {
        deps.log.error('A listener to the database failed', { channel: notification.channel, error: errorText(error) })
      }
    }
  }

  async function open(): Promise<pg.Client> {
    const fresh = new pg.Client(connection)
    fresh.on('error', (error) => deps.log.error('The listening connection broke', { error: errorText(error) }))
    fresh.on('notification', ({ channel, payload }) => emit({ channel, payload: payload ?? '' }))
    try {
      await fresh.connect()
      for (const channel of channels) await fresh.query(`listen ${pg.escapeIdentifier(channel)}`)
    } catch (error) {
      await fresh.end().catch(() => undefined)
      throw error
    }
    // Only now: a connection that never was also ends, and each failure must lead to one try, not to two.
    fresh.once('end', retry)
    return fresh
  }

  function retry(): void {
    client = undefined
    if (!closed) cancelRetry = deps.clock.after(retryMs, () => void again())
  }

  async function again(): Promise<void> {
    client = open()
    try {
      await client
      emit({ channel: '', payload: '' })
    } catch {
      retry()
    }
  }

  return {
    emit,
    async listen(channel) {
      if (channels.has(channel)) return
      channels.add(channel)
      if (client) await (await client).query(`listen ${pg.escapeIdentifier(channel)}`)
      else {
        cancelRetry()
        client = open()
        await client.catch((error: unknown) => {
          client = undefined
          throw error
        })
      }
    },
    add(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async close() {
      closed = true
      cancelRetry()
      const last = await client?.catch(() => undefined)
      await last?.end()
    },
  }
}
