import type { Transport, TransportConnection, TransportListener } from '../../client-sdk/connection/transport.ts'
import type { Dice, Fates } from './dice.ts'
import type { Tally } from './tally.ts'
import { WireWatch } from './wire-watch.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** The server's end of a connection. */
export interface ServerEnd {
  send(frame: Uint8Array): void
  close(): void
}

export interface ServerListener {
  received(frame: Uint8Array): void
  closed(): void
}

/** Takes a new connection, or null when the server is down. */
export type Accept = (end: ServerEnd) => ServerListener | null

export interface NetworkWeather {
  /** One-way delay in milliseconds: between these. */
  readonly minDelay: number
  readonly maxDelay: number
  /**
   * Chance that a frame finds its connection broken: it and all after it are lost, and both ends learn of it, each in
   * its own time.
   */
  readonly breakChance: number
  /** Chance that a frame of a client arrives a second time on the server, as if a proxy had repeated it. */
  readonly repeatChance: number
  /** Chance that a client frame arrives after the one sent behind it. */
  readonly swapChance: number
}

export const calm: NetworkWeather = { minDelay: 1, maxDelay: 3, breakChance: 0, repeatChance: 0, swapChance: 0 }

export interface SimNetworkParts {
  readonly clock: VirtualClock
  readonly fates: Fates
  readonly tally: Tally
  readonly accept: Accept
}

/**
 * A network of connections that behave like TCP through bad proxies: in order and without gaps until they break, a
 * break noticed late, frames of a dead connection still arriving, whole clients cut off for a while. From client to
 * server it may also repeat and reorder frames: the server must stand that from anybody.
 */
export class SimNetwork {
  weather: NetworkWeather = calm
  readonly #parts: SimNetworkParts
  readonly #partitioned = new Set<string>()
  readonly #links = new Set<Link>()

  /** How many connections each client has tried. */
  readonly #tries = new Map<string, number>()

  constructor(parts: SimNetworkParts) {
    this.#parts = parts
  }

  transportOf(client: string): Transport {
    return { open: (listener) => this.#open(client, listener) }
  }

  /** Cuts the client off: its connections break, and new ones fail until `heal`. */
  partition(client: string): void {
    this.#partitioned.add(client)
    for (const link of [...this.#links]) if (link.client === client) link.breakNow()
  }

  isPartitioned(client: string): boolean {
    return this.#partitioned.has(client)
  }

  heal(client: string): void {
    this.#partitioned.delete(client)
  }

  healAll(): void {
    this.#partitioned.clear()
    this.weather = calm
  }

  /** The server died: all connections break. */
  breakAll(): void {
    for (const link of [...this.#links]) link.breakNow()
  }

  #open(client: string, listener: TransportListener): TransportConnection {
    const { clock, fates, tally, accept } = this.#parts
    const number = (this.#tries.get(client) ?? 0) + 1
    this.#tries.set(client, number)
    const link = new Link(client, listener, {
      clock,
      tally,
      up: fates.dice(client, number, 'up'),
      down: fates.dice(client, number, 'down'),
      weather: () => this.weather,
      ended: () => this.#links.delete(link),
    })
    this.#links.add(link)
    clock.after(link.delay('up'), () => {
      if (this.#partitioned.has(client)) link.breakNow()
      else link.connect(accept)
    })
    return { send: (frame) => link.sendUp(frame), close: () => link.closeByClient() }
  }
}

type Way = 'up' | 'down'

interface LinkParts {
  readonly clock: VirtualClock
  readonly tally: Tally
  /** The fate of frames, by direction. */
  readonly up: Dice
  readonly down: Dice
  readonly weather: () => NetworkWeather
  readonly ended: () => void
}

class Link {
  readonly client: string
  readonly #listener: TransportListener
  readonly #parts: LinkParts
  readonly #watch: WireWatch
  #server: ServerListener | null = null
  #clientOpen = true
  #serverOpen = false
  #broken = false
  #upArrival = 0
  #downArrival = 0

  constructor(client: string, listener: TransportListener, parts: LinkParts) {
    this.client = client
    this.#listener = listener
    this.#parts = parts
    this.#watch = new WireWatch(parts.tally)
  }

  connect(accept: Accept): void {
    if (!this.#clientOpen || this.#broken) return
    const server = accept({ send: (frame) => this.#sendDown(frame), close: () => this.#closeByServer() })
    if (server === null) return this.breakNow()
    this.#server = server
    this.#serverOpen = true
    this.#later('down', this.delay('down'), () => this.#clientOpen && this.#listener.opened())
  }

  sendUp(frame: Uint8Array): void {
    if (!this.#clientOpen || this.#broken) return
    const { up, tally, clock, weather } = this.#parts
    const { breakChance, repeatChance, swapChance } = weather()
    // Always as many draws, so that the fate of a frame does not hang on that of others.
    const [breaks, swaps, repeats] = [up.chance(breakChance), up.chance(swapChance), up.chance(repeatChance)]
    const [first, second] = [this.delay('up'), this.delay('up')]
    if (breaks) return this.#break()
    const deliver = (): void => {
      if (this.#serverOpen) this.#server?.received(frame)
    }
    if (swaps) {
      tally.add('frame overtaken')
      clock.after(first * 3, deliver)
    } else this.#later('up', first, deliver)
    if (!repeats) return
    tally.add('frame repeated')
    this.#later('up', second, deliver)
  }

  #sendDown(frame: Uint8Array): void {
    if (!this.#serverOpen || this.#broken) return
    const breaks = this.#parts.down.chance(this.#parts.weather().breakChance)
    const delay = this.delay('down')
    if (breaks) return this.#break()
    this.#later('down', delay, () => {
      if (!this.#clientOpen) return
      this.#watch.heard(frame)
      this.#listener.received(frame)
    })
  }

  #break(): void {
    this.#parts.tally.add('connection broken')
    this.breakNow()
  }

  /** Nothing passes any more; each end notices in its own time, the server often much later. */
  breakNow(): void {
    if (this.#broken) return
    this.#broken = true
    this.#parts.clock.after(this.delay('down') * 5, () => this.#endClient('the network broke'))
    this.#parts.clock.after(this.delay('up') * 50, () => this.#endServer())
  }

  /** What the client sent before is still on its way, and the server learns of the end after it. */
  closeByClient(): void {
    this.#endClient('closed by the client')
    this.#later('up', this.delay('up'), () => this.#endServer())
  }

  #closeByServer(): void {
    if (!this.#serverOpen) return
    this.#endServer()
    this.#later('down', this.delay('down'), () => this.#endClient('closed by the server'))
  }

  #endClient(reason: string): void {
    if (!this.#clientOpen) return
    this.#clientOpen = false
    this.#parts.ended()
    this.#watch.ended()
    this.#listener.closed(reason)
  }

  #endServer(): void {
    if (!this.#serverOpen) return
    this.#serverOpen = false
    this.#server?.closed()
  }

  /** In order per direction: nothing overtakes. */
  #later(way: Way, delay: number, run: () => void): void {
    const { clock } = this.#parts
    const earliest = way === 'up' ? this.#upArrival : this.#downArrival
    const arrival = Math.max(earliest, clock.monotonic() + delay)
    if (way === 'up') this.#upArrival = arrival
    else this.#downArrival = arrival
    clock.after(arrival - clock.monotonic(), run)
  }

  delay(way: Way): number {
    const { minDelay, maxDelay } = this.#parts.weather()
    return minDelay + this.#parts[way].next() * (maxDelay - minDelay)
  }
}
