import { createClient, ErrorReply, type RedisClientOptions } from '@redis/client'
import { backoffDelay } from '../../lib/backoff.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'

export interface RedisOptions {
  readonly url: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** Redis as this server may use it: as long as it answers, and never waited for. */
export interface Redis {
  /** It answers. */
  readonly isUp: boolean
  /** Why it lets nobody read the stream of socket.io's adapter, though it answers: a right is missing, most often. */
  readonly refusal: string | undefined
  /** Calls back when `isUp` changes. Returns how to stop. */
  onChange(listener: (isUp: boolean) => void): () => void
  /** False: it was dropped, since Redis does not answer. Nothing is kept for later. */
  publish(channel: string, message: string | Buffer): boolean
  /** Comes back by itself after Redis was away; what was published meanwhile is lost. */
  subscribe(channel: string, listener: (message: string) => void): () => void
  /** For socket.io's adapter. */
  readonly adapterClient: AdapterClient
  close(): Promise<void>
}

/**
 * What `@socket.io/redis-streams-adapter` asks of a client of node-redis. It does not look after its promises, and
 * reads its stream in a loop without a pause: so `publish` never rejects, and the clients it duplicates for reading
 * queue while Redis is away instead of refusing, and answer a refusal a second later.
 */
export interface AdapterClient {
  readonly sSubscribe: () => void
  publish(channel: string, message: Buffer): Promise<number>
  xAdd(key: string, id: string, fields: Record<string, string>, options: StreamTrim): Promise<string>
  duplicate(): unknown
}

interface StreamTrim {
  readonly TRIM: { readonly strategy: 'MAXLEN'; readonly strategyModifier: '~'; readonly threshold: number }
}

type Client = ReturnType<typeof makeClient>

const reconnect = { minMs: 50, maxMs: 2000 }
const connectTimeoutMs = 2000
const pingMs = 1000
/** No answer for so long: Redis is away, though its connection may still stand. */
const silentMs = 3000
/** A connection on which nothing moves is given up; above the time for which the adapter's reads wait. */
const idleMs = 12_000
/** From a read that failed to the next. */
const rereadMs = 1000
/** Messages without an answer; more are dropped. */
const maxUnanswered = 1000

/** Opens connections in the background and keeps them. */
export function openRedis(options: RedisOptions): Redis {
  const { clock, log } = options
  const listeners = new Set<(isUp: boolean) => void>()
  const readers: Client[] = []
  const publisher = connected(makeClient(options, { disableOfflineQueue: true, idleMs: silentMs + pingMs }))
  const subscriber = connected(makeClient(options, { pingMs, idleMs: silentMs + pingMs }))
  let isUp = false
  let refusal: string | undefined
  let isClosed = false
  let unanswered = 0
  let cancelBeat = (): void => undefined

  function connected(client: Client): Client {
    // Each failed try is an error; what matters is told by `tell`.
    client.on('error', () => undefined)
    client.connect().catch(() => undefined)
    return client
  }

  function tell(now: boolean): void {
    if (isClosed || now === isUp) return
    isUp = now
    if (now) log.info('Redis answers')
    else log.error('Redis does not answer; presence is of this server alone until it does')
    for (const listener of listeners) listener(now)
  }

  /**
   * Asks for a sign of life; while it does not come nothing more is written, so that the idle connection is given up.
   */
  function beat(): void {
    const late = clock.after(silentMs, () => tell(false))
    void Promise.all([publisher.ping(), subscriber.isReady ? undefined : Promise.reject(new Error('not ready'))])
      .then(
        () => tell(true),
        () => tell(false),
      )
      .finally(() => {
        late()
        if (!isClosed) cancelBeat = clock.after(isUp ? pingMs : reconnect.minMs * 4, beat)
      })
  }
  beat()

  function publish(channel: string, message: string | Buffer): boolean {
    if (!isUp || unanswered >= maxUnanswered) return false
    unanswered++
    publisher
      .publish(channel, message)
      .catch(() => undefined)
      .finally(() => unanswered--)
    return true
  }

  /** Of a read: undefined, or why there is none. */
  function heard(error: unknown): void {
    const now = error instanceof ErrorReply ? errorText(error) : undefined
    if (now === refusal || isClosed) return
    refusal = now
    if (now === undefined) log.info('Redis lets its stream be read')
    else log.error('Redis answers, and does not let its stream be read', { error: now })
  }

  return {
    get isUp() {
      return isUp
    },
    get refusal() {
      return refusal
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    publish,
    subscribe(channel, listener) {
      subscriber.subscribe(channel, listener).catch(() => undefined)
      return () => void subscriber.unsubscribe(channel, listener).catch(() => undefined)
    },
    adapterClient: {
      sSubscribe: () => undefined,
      publish: async (channel, message) => (publish(channel, message) ? 1 : 0),
      xAdd: async (...entry) => (isUp ? publisher.xAdd(...entry).catch(() => '') : ''),
      duplicate() {
        const reader = makeClient(options, { pingMs, idleMs })
        readers.push(reader)
        const [connect, xRead] = [reader.connect.bind(reader), reader.xRead.bind(reader)]
        // Only a server that ends gives up. Nobody would hear of it: the process would end by a rejection that is not
        // handled.
        return Object.assign(reader, {
          connect: () => connect().catch(() => new Promise<never>(() => undefined)),
          xRead: async (...asked: Parameters<typeof xRead>) => {
            try {
              const answer = await xRead(...asked)
              heard(undefined)
              return answer
            } catch (error) {
              heard(error)
              // Who closes asks nothing more.
              await new Promise<void>((resolve) => void (isClosed || clock.after(rereadMs, resolve)))
              throw error
            }
          },
        })
      },
    },
    async close() {
      isClosed = true
      cancelBeat()
      for (const client of [publisher, subscriber, ...readers]) client.destroy()
    },
  }
}

function makeClient(
  { url, random }: RedisOptions,
  {
    disableOfflineQueue = false,
    pingMs: pingInterval,
    idleMs: socketTimeout,
  }: { readonly disableOfflineQueue?: boolean; readonly pingMs?: number; readonly idleMs: number },
) {
  const options: RedisClientOptions = {
    url,
    disableOfflineQueue,
    socket: {
      connectTimeout: connectTimeoutMs,
      socketTimeout,
      reconnectStrategy: (retries) => backoffDelay(reconnect, retries, random),
    },
    ...(pingInterval === undefined ? {} : { pingInterval }),
  }
  return createClient(options)
}
