import type { CancelTimer, Clock } from '../../lib/clock.ts'
import { z } from 'zod'
import { peerSchema } from '../../protocol/messages/down.ts'

export type Peer = z.infer<typeof peerSchema>

const changeSchema = z.strictObject({
  channel: z.string(),
  organizationId: z.string(),
  /** By a key of the session; null: it has gone. */
  peers: z.array(z.tuple([z.string(), peerSchema.nullable()])),
})
export type PresenceChange = z.infer<typeof changeSchema>

/**
 * What servers tell each other. `n` counts the changes that a server has told: who has heard fewer asks for all. `all`
 * is everything a server shows, in one or several (`more`). `beat` says that it lives, `gone` that it ends.
 */
const newsSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('change'), node: z.string(), n: z.int(), change: changeSchema }),
  z.strictObject({
    kind: z.literal('all'),
    node: z.string(),
    n: z.int(),
    first: z.boolean(),
    changes: z.array(changeSchema),
  }),
  z.strictObject({ kind: z.literal('beat'), node: z.string(), n: z.int() }),
  z.strictObject({ kind: z.literal('ask'), node: z.string(), of: z.string().nullable() }),
  z.strictObject({ kind: z.literal('gone'), node: z.string() }),
])
export type PresenceNews = z.infer<typeof newsSchema>

/** Carries news to the other servers, or loses them. */
export interface PresenceCarrier {
  tell(news: PresenceNews): void
  hear(listener: (news: unknown) => void): void
}

export interface PresenceHost {
  /** Everything shown on this server. */
  own(): readonly PresenceChange[]
  /** What others show in a channel has changed. */
  changed(channel: string, organizationId: string): void
}

export interface DistantPeersOptions {
  readonly node: string
  readonly carrier: PresenceCarrier
  readonly clock: Clock
}

interface Distant {
  n: number
  heardAt: number
  /** Asked for everything, and has not had it. */
  asked: boolean
  readonly channels: Map<string, { readonly organizationId: string; readonly peers: Map<string, Peer> }>
}

const beatMs = 2000
/** A server that is silent for so long is gone, and what it showed with it. */
const silentMs = 8000
/** Peers in one message of everything, each of at most some KiB. */
const chunkPeers = 200

/**
 * Who is present on the other servers, each as far as it was heard. Any message may be lost: the next one, or the next
 * beat, shows by its count that one is missing, and everything is asked for.
 */
export class DistantPeers {
  readonly #options: DistantPeersOptions
  readonly #nodes = new Map<string, Distant>()
  #host: PresenceHost | undefined
  #n = 0
  #cancelBeat: CancelTimer = () => undefined

  constructor(options: DistantPeersOptions) {
    this.#options = options
  }

  start(host: PresenceHost): void {
    const { carrier, node } = this.#options
    this.#host = host
    carrier.hear((news) => {
      const parsed = newsSchema.safeParse(news)
      // Another version of this server may say what this one does not know.
      if (parsed.success && parsed.data.node !== node) this.#hear(parsed.data)
    })
    carrier.tell({ kind: 'ask', node, of: null })
    this.#beat()
  }

  tell(change: PresenceChange): void {
    this.#n += 1
    this.#options.carrier.tell({ kind: 'change', node: this.#options.node, n: this.#n, change })
  }

  in(channel: string): readonly Peer[] {
    return [...this.#nodes.values()].flatMap(({ channels }) => [...(channels.get(channel)?.peers.values() ?? [])])
  }

  stop(): void {
    this.#cancelBeat()
    this.#options.carrier.tell({ kind: 'gone', node: this.#options.node })
    this.#host = undefined
  }

  #beat(): void {
    const { carrier, clock, node } = this.#options
    carrier.tell({ kind: 'beat', node, n: this.#n })
    const now = clock.monotonic()
    for (const [name, { heardAt }] of this.#nodes) if (now - heardAt > silentMs) this.#forget(name)
    this.#cancelBeat = clock.after(beatMs, () => this.#beat())
  }

  #hear(news: PresenceNews): void {
    if (!this.#host) return
    if (news.kind === 'gone') return this.#forget(news.node)
    const distant = this.#nodes.get(news.node) ?? this.#meet(news.node)
    distant.heardAt = this.#options.clock.monotonic()
    switch (news.kind) {
      case 'ask':
        if (news.of === null || news.of === this.#options.node) this.#tellAll()
        return
      case 'all':
        if (news.first) for (const channel of [...distant.channels.keys()]) this.#clear(distant, channel)
        for (const change of news.changes) this.#apply(distant, change)
        distant.n = news.n
        distant.asked = false
        return
      case 'change':
        if (news.n === distant.n + 1) {
          this.#apply(distant, news.change)
          distant.n = news.n
        } else this.#ask(news.node, distant)
        return
      case 'beat':
        // An answer may have been lost: each beat is another chance.
        if (news.n !== distant.n || distant.asked) {
          distant.asked = false
          this.#ask(news.node, distant)
        }
    }
  }

  #meet(name: string): Distant {
    const distant = { n: 0, heardAt: 0, asked: false, channels: new Map() }
    this.#nodes.set(name, distant)
    return distant
  }

  #ask(name: string, distant: Distant): void {
    if (distant.asked) return
    distant.asked = true
    this.#options.carrier.tell({ kind: 'ask', node: this.#options.node, of: name })
  }

  #tellAll(): void {
    const pieces = (this.#host?.own() ?? []).flatMap(split)
    let first = true
    do {
      let size = 0
      const end = pieces.findIndex(({ peers }) => (size += peers.length) > chunkPeers)
      const changes = pieces.splice(0, end === -1 ? pieces.length : Math.max(1, end))
      this.#options.carrier.tell({ kind: 'all', node: this.#options.node, n: this.#n, first, changes })
      first = false
    } while (pieces.length > 0)
  }

  #apply({ channels }: Distant, { channel, organizationId, peers }: PresenceChange): void {
    const known = channels.get(channel) ?? { organizationId, peers: new Map<string, Peer>() }
    for (const [key, peer] of peers) {
      if (peer) known.peers.set(key, peer)
      else known.peers.delete(key)
    }
    if (known.peers.size > 0) channels.set(channel, known)
    else channels.delete(channel)
    this.#host?.changed(channel, organizationId)
  }

  #clear({ channels }: Distant, channel: string): void {
    const organizationId = channels.get(channel)?.organizationId
    channels.delete(channel)
    if (organizationId !== undefined) this.#host?.changed(channel, organizationId)
  }

  #forget(name: string): void {
    const distant = this.#nodes.get(name)
    if (!distant) return
    this.#nodes.delete(name)
    for (const channel of [...distant.channels.keys()]) this.#clear(distant, channel)
  }
}

function split({ peers, ...where }: PresenceChange): readonly PresenceChange[] {
  return Array.from({ length: Math.ceil(peers.length / chunkPeers) }, (_, index) => ({
    ...where,
    peers: peers.slice(index * chunkPeers, (index + 1) * chunkPeers),
  }))
}
