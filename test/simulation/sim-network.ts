import type { Random } from '../../lib/random.ts'
import type { Transport, TransportConnection, TransportListener } from '../../client-sdk/connection/transport.ts'
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
  /** Chance that a frame finds its connection broken: it and all after it are lost, and both ends learn of it, each in its own time. */
  readonly breakChance: number
  /** Chance that a frame of a client arrives a second time on the server, as if a proxy had repeated it. */
  readonly repeatChance: number
  /** Chance that a client frame arrives after the one sent behind it. */
  readonly swapChance: number
}

export const calm: NetworkWeather = { minDelay: 1, maxDelay: 3, breakChance: 0, repeatChance: 0, swapChance: 0 }

/**
 * A network of connections that behave like TCP through bad proxies: in order and without gaps until they break, a
 * break noticed late, frames of a dead connection still arriving, whole clients cut off for a while. From client to
 * server it may also repeat and reorder frames: the server must stand that from anybody.
 */
export class SimNetwork {
  weather: NetworkWeather = calm
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #accept: Accept
  readonly #partitioned = new Set<string>()
  readonly #links = new Set<Link>()

  constructor(clock: VirtualClock, random: Random, accept: Accept) {
    this.#clock = clock
    this.#random = random
    this.#accept = accept
  }

  transportOf(client: string): Transport {
    return { open: (listener) => this.#open(client, listener) }
  }

  /** Cuts the client off: its connections break, and new ones fail until `heal`. */
  partition(client: string): void {
    this.#partitioned.add(client)
    for (const link of [...this.#links]) if (link.client === client) link.breakNow()
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
    const link = new Link(client, listener, {
      clock: this.#clock,
      random: this.#random,
      weather: () => this.weather,
      ended: () => this.#links.delete(link),
    })
    this.#links.add(link)
    this.#clock.after(this.#delay(), () => {
      if (this.#partitioned.has(client)) link.breakNow()
      else link.connect(this.#accept)
    })
    return { send: (frame) => link.sendUp(frame), close: () => link.closeByClient() }
  }

  #delay(): number {
    const { minDelay, maxDelay } = this.weather
    return minDelay + this.#random.next() * (maxDelay - minDelay)
  }
}

interface LinkParts {
  readonly clock: VirtualClock
  readonly random: Random
  readonly weather: () => NetworkWeather
  readonly ended: () => void
}

class Link {
  readonly client: string
  readonly #listener: TransportListener
  readonly #parts: LinkParts
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
  }

  connect(accept: Accept): void {
    if (!this.#clientOpen || this.#broken) return
    const server = accept({ send: (frame) => this.#sendDown(frame), close: () => this.#closeByServer() })
    if (server === null) return this.breakNow()
    this.#server = server
    this.#serverOpen = true
    this.#later('down', () => this.#clientOpen && this.#listener.opened())
  }

  sendUp(frame: Uint8Array): void {
    if (!this.#clientOpen || this.#broken) return
    const { random, weather } = this.#parts
    const { breakChance, repeatChance, swapChance } = weather()
    if (random.next() < breakChance) return this.breakNow()
    const deliver = (): void => {
      if (this.#serverOpen) this.#server?.received(frame)
    }
    if (random.next() < swapChance) this.#parts.clock.after(this.#delay() * 3, deliver)
    else this.#later('up', deliver)
    if (random.next() < repeatChance) this.#later('up', deliver)
  }

  #sendDown(frame: Uint8Array): void {
    if (!this.#serverOpen || this.#broken) return
    if (this.#parts.random.next() < this.#parts.weather().breakChance) return this.breakNow()
    this.#later('down', () => {
      if (this.#clientOpen) this.#listener.received(frame)
    })
  }

  /** Nothing passes any more; each end notices in its own time, the server often much later. */
  breakNow(): void {
    if (this.#broken) return
    this.#broken = true
    this.#parts.clock.after(this.#delay() * 5, () => this.#endClient('the network broke'))
    this.#parts.clock.after(this.#delay() * 50, () => this.#endServer())
  }

  /** What the client sent before is still on its way, and the server learns of the end after it. */
  closeByClient(): void {
    this.#endClient('closed by the client')
    this.#later('up', () => this.#endServer())
  }

  #closeByServer(): void {
    if (!this.#serverOpen) return
    this.#endServer()
    this.#later('down', () => this.#endClient('closed by the server'))
  }

  #endClient(reason: string): void {
    if (!this.#clientOpen) return
    this.#clientOpen = false
    this.#parts.ended()
    this.#listener.closed(reason)
  }

  #endServer(): void {
    if (!this.#serverOpen) return
    this.#serverOpen = false
    this.#server?.closed()
  }

  /** In order per direction: nothing overtakes. */
  #later(way: 'up' | 'down', run: () => void): void {
    const { clock } = this.#parts
    const earliest = way === 'up' ? this.#upArrival : this.#downArrival
    const arrival = Math.max(earliest, clock.monotonic() + this.#delay())
    if (way === 'up') this.#upArrival = arrival
    else this.#downArrival = arrival
    clock.after(arrival - clock.monotonic(), run)
  }

  #delay(): number {
    const { random, weather } = this.#parts
    const { minDelay, maxDelay } = weather()
    return minDelay + random.next() * (maxDelay - minDelay)
  }
}
