import type { Clock } from '../../lib/clock.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { messageFrame } from '../../protocol/parse.ts'

type Peer = DownOf<'present'>['peers'][number]
type State = Readonly<Record<string, Json>>

/** A session as presence sees it. */
export interface Attendant {
  readonly organizationId: string
  readonly deviceId: string
  readonly name: string
  readonly userId: string | null
  readonly agentId: string | null
  follows(channel: string): boolean
  send(frame: Uint8Array): void
}

/** Changes within this time travel as one. Milliseconds. */
const gatherMs = 50

/**
 * Who is where right now. States live in memory only, are stamped with the identity of the session that set them, and
 * go with it; each session of the organization that follows the channel hears of changes.
 */
export class Presence {
  readonly #clock: Clock
  readonly #attendants = new Map<string, Set<Attendant>>()
  readonly #channels = new Map<string, Map<Attendant, State>>()
  readonly #changed = new Set<string>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  enter(attendant: Attendant): void {
    const others = this.#attendants.get(attendant.organizationId) ?? new Set()
    this.#attendants.set(attendant.organizationId, others.add(attendant))
  }

  /** Sets or, with null, takes away what `attendant` shows in a channel. */
  set(attendant: Attendant, channel: string, state: State | null): void {
    const present = this.#channels.get(channel) ?? new Map<Attendant, State>()
    if (state) present.set(attendant, state)
    else if (!present.delete(attendant)) return
    if (present.size > 0) this.#channels.set(channel, present)
    else this.#channels.delete(channel)
    this.#gather(channel, attendant.organizationId)
  }

  /** Tells a session that has begun to follow a channel who is there. */
  greet(attendant: Attendant, channel: string): void {
    if (this.#channels.has(channel)) attendant.send(this.#frame(channel))
  }

  leave(attendant: Attendant): void {
    const others = this.#attendants.get(attendant.organizationId)
    others?.delete(attendant)
    if (others?.size === 0) this.#attendants.delete(attendant.organizationId)
    for (const channel of this.#channels.keys()) this.set(attendant, channel, null)
  }

  #gather(channel: string, organizationId: string): void {
    if (this.#changed.has(channel)) return
    this.#changed.add(channel)
    this.#clock.after(gatherMs, () => {
      this.#changed.delete(channel)
      const frame = this.#frame(channel)
      for (const attendant of this.#attendants.get(organizationId) ?? []) {
        if (attendant.follows(channel)) attendant.send(frame)
      }
    })
  }

  #frame(channel: string): Uint8Array {
    const present = this.#channels.get(channel) ?? new Map<Attendant, State>()
    const peers = [...present].map(([{ deviceId, name, userId, agentId }, state]): Peer => ({
      deviceId,
      name,
      userId,
      agentId,
      state: { ...state },
    }))
    return messageFrame({ type: 'present', channel, peers })
  }
}
