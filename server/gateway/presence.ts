import type { Clock } from '../../lib/clock.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { messageFrame } from '../../protocol/parse.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { DistantPeers, Peer, PresenceChange } from './distant-peers.ts'

type State = Readonly<Record<string, Json>>

/** A session as presence sees it. */
export interface PresenceSession {
  readonly principal: DevicePrincipal
  readonly deviceName: string
  follows(channel: string): boolean
  /** Whether it may be seen there. */
  mayEnter(channel: string): boolean
  /** Who is in a channel now; takes the place of what was sent of it before. */
  sendPresence(channel: string, frame: Uint8Array): void
}

/** Changes within this time travel as one. Milliseconds. */
const gatherMs = 50

/**
 * Who is where right now. States live in memory only, are stamped with the identity of the session that set them, and
 * go with it; each session of the organization that follows the channel hears of changes. Those on other servers are
 * known as far as these tell (`distant-peers.ts`).
 */
export class Presence {
  readonly #clock: Clock
  readonly #sessions = new Map<string, Set<PresenceSession>>()
  /** Channels carry the ids of rows, so none is of two organizations. */
  readonly #channels = new Map<string, Map<PresenceSession, { readonly key: string; readonly state: State }>>()
  readonly #changed = new Map<string, { readonly organizationId: string; readonly changes: Map<string, Peer | null> }>()
  #distant: DistantPeers | undefined
  #keys = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** From now on other servers hear of what is shown here, and what they show is shown here. */
  join(distant: DistantPeers): void {
    this.#distant = distant
    distant.start({
      own: () =>
        [...this.#channels].map(([channel, present]): PresenceChange => {
          const [first] = present.keys()
          const peers = [...present].map(([session, { key, state }]): [string, Peer] => [key, toPeer(session, state)])
          return { channel, organizationId: first?.principal.organizationId ?? '', peers }
        }),
      changed: (channel, organizationId) => this.#gather(channel, organizationId),
    })
  }

  enter(session: PresenceSession): void {
    const { organizationId } = session.principal
    const others = this.#sessions.get(organizationId) ?? new Set()
    this.#sessions.set(organizationId, others.add(session))
  }

  /** Sets or, with null, takes away what `session` shows in a channel. */
  set(session: PresenceSession, channel: string, state: State | null): void {
    const present = this.#channels.get(channel) ?? new Map<PresenceSession, { key: string; state: State }>()
    const key = present.get(session)?.key ?? String((this.#keys += 1))
    if (state) present.set(session, { key, state })
    else if (!present.delete(session)) return
    if (present.size > 0) this.#channels.set(channel, present)
    else this.#channels.delete(channel)
    this.#gather(channel, session.principal.organizationId).set(key, state && toPeer(session, state))
  }

  /** Tells a session that has begun to follow a channel who is there. */
  greet(session: PresenceSession, channel: string): void {
    const peers = this.#peersOf(channel)
    if (peers.length > 0) session.sendPresence(channel, messageFrame({ type: 'present', channel, peers }))
  }

  /** Takes a session out of the channels that are not open to it any more. */
  recheck(session: PresenceSession): void {
    for (const [channel, present] of this.#channels)
      if (present.has(session) && !session.mayEnter(channel)) this.set(session, channel, null)
  }

  leave(session: PresenceSession): void {
    const { organizationId } = session.principal
    const others = this.#sessions.get(organizationId)
    others?.delete(session)
    if (others?.size === 0) this.#sessions.delete(organizationId)
    for (const channel of this.#channels.keys()) this.set(session, channel, null)
  }

  stop(): void {
    this.#distant?.stop()
  }

  /** What has changed here in a channel since followers were told last; they are told soon. */
  #gather(channel: string, organizationId: string): Map<string, Peer | null> {
    const known = this.#changed.get(channel)
    if (known) return known.changes
    const changes = new Map<string, Peer | null>()
    this.#changed.set(channel, { organizationId, changes })
    this.#clock.after(gatherMs, () => {
      this.#changed.delete(channel)
      if (changes.size > 0) this.#distant?.tell({ channel, organizationId, peers: [...changes] })
      const frame = messageFrame({ type: 'present', channel, peers: this.#peersOf(channel) })
      for (const session of this.#sessions.get(organizationId) ?? []) {
        if (session.follows(channel)) session.sendPresence(channel, frame)
      }
    })
    return changes
  }

  #peersOf(channel: string): Peer[] {
    const near = [...(this.#channels.get(channel) ?? [])].map(([session, { state }]) => toPeer(session, state))
    return [...near, ...(this.#distant?.in(channel) ?? [])]
  }
}

function toPeer({ principal, deviceName }: PresenceSession, state: State): Peer {
  return {
    deviceId: principal.deviceId,
    name: deviceName,
    userId: principal.kind === 'user' ? principal.id : null,
    agentId: principal.kind === 'agent' ? principal.id : null,
    state: { ...state },
  }
}
