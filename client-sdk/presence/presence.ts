import { Listeners } from '../../lib/listeners.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { Json } from '../../protocol/rows/row.ts'

/** Someone present in a channel, as the server vouches for it. */
export type Peer = DownOf<'present'>['peers'][number]

export interface PresenceRoom {
  /** Shows this to everyone else in the channel until `leave`, or the connection ends; sent again after a reconnect. */
  set(state: Readonly<Record<string, Json>>): void
  /** Calls back with all who are present, now and whenever that changes. Returns the function that stops it. */
  live(notify: (peers: readonly Peer[]) => void): () => void
  leave(): void
}

/** What presence needs of the client. */
export interface PresenceSource {
  send(channel: string, state: Readonly<Record<string, Json>> | null): void
}

/** Ephemeral state per channel: who is here, who types. Never stored, never a row. */
export class Presence {
  readonly #source: PresenceSource
  readonly #own = new Map<string, Readonly<Record<string, Json>>>()
  readonly #peers = new Map<string, readonly Peer[]>()
  readonly #listeners = new Map<string, Listeners<readonly Peer[]>>()

  constructor(source: PresenceSource) {
    this.#source = source
  }

  room(channel: string): PresenceRoom {
    return {
      set: (state) => {
        this.#own.set(channel, state)
        this.#source.send(channel, state)
      },
      live: (notify) => {
        const listeners = this.#listeners.get(channel) ?? new Listeners<readonly Peer[]>()
        this.#listeners.set(channel, listeners)
        const stop = listeners.add(notify)
        notify(this.#peers.get(channel) ?? [])
        return stop
      },
      leave: () => {
        this.#own.delete(channel)
        this.#source.send(channel, null)
      },
    }
  }

  take(message: DownOf<'present'>): void {
    this.#tell(message.channel, message.peers)
  }

  /** A new connection knows nothing of what was shown on the old one. */
  connected(): void {
    for (const [channel, state] of this.#own) this.#source.send(channel, state)
  }

  /** Without a connection nobody is known to be present. */
  disconnected(): void {
    for (const channel of [...this.#peers.keys()]) this.#tell(channel, [])
  }

  /** Of a channel that is not followed any more nothing is heard, so nobody is known to be there. */
  followed(channels: ReadonlySet<string>): void {
    for (const channel of [...this.#peers.keys()]) if (!channels.has(channel)) this.#tell(channel, [])
  }

  #tell(channel: string, peers: readonly Peer[]): void {
    if (peers.length === 0) this.#peers.delete(channel)
    else this.#peers.set(channel, peers)
    this.#listeners.get(channel)?.tell(peers)
  }
}
