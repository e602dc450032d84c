/**
 * What joins several servers on one database. Postgres is all that they need: each follows the change log, whoever
 * writes it (`capture`), and finds everything else there too. Redis, where REDIS_URL names one, makes it livelier: news
 * of the log arrive sooner and cost Postgres nothing, and presence crosses servers. While Redis is away nothing waits
 * for it.
 *
 *     server A ──▶ sync_changes ──▶ server B        the truth, by news or by looking
 *        └──────▶ Redis ─────────────▲              news, presence
 */
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Log } from '../telemetry/telemetry.ts'
import type { Redis } from './redis.ts'

export type { AdapterClient, Redis } from './redis.ts'

export interface ClusterOptions {
  readonly redisUrl: string | undefined
  /** Servers on one Redis that do not share this name hear nothing of each other. */
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface Cluster {
  /** Of this server; another one at every start. */
  readonly node: string
  /** Undefined without REDIS_URL. */
  readonly redis: Redis | undefined
  /** The begin of every key and channel in Redis. */
  readonly prefix: string
  /** News for the other servers under a topic. Hints only: they may be lost. Undefined without Redis. */
  readonly news: ((topic: string) => News) | undefined
  close(): Promise<void>
}

export interface News {
  /** False: nobody will hear it. */
  tell(text: string): boolean
  /** What others tell. Returns how to stop. */
  hear(listener: (text: string) => void): () => void
}

/** Never fails for want of Redis: it goes on trying. */
export async function openCluster({ redisUrl, name, clock, random, log }: ClusterOptions): Promise<Cluster> {
  const node = Buffer.from(random.bytes(8)).toString('hex')
  const prefix = `tidewire:${name}`
  const redis =
    redisUrl === undefined ? undefined : (await import('./redis.ts')).openRedis({ url: redisUrl, clock, random, log })
  return {
    node,
    redis,
    prefix,
    news:
      redis &&
      ((topic) => ({
        tell: (text) => redis.publish(`${prefix}:${topic}`, `${node} ${text}`),
        hear: (listener) =>
          redis.subscribe(`${prefix}:${topic}`, (message) => {
            const [from] = message.split(' ', 1)
            if (from !== node) listener(message.slice((from ?? '').length + 1))
          }),
      })),
    close: async () => redis?.close(),
  }
}
