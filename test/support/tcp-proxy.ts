// A TCP proxy in the test: the load balancer before several servers, and the cable to a service that can be cut.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface TcpProxy {
  readonly port: number
  /**
   * Bytes go nowhere and nobody is told, as when a cable is cut: open connections hang, new ones are taken and hang
   * too.
   */
  partition(): void
  /** The same for those open connections alone whose first bytes hold this text; new ones pass. */
  freeze(text: string): void
  /** What waited goes on. */
  heal(): void
  /** Ends the connections that go to this port. */
  cut(targetPort: number): void
  close(): Promise<void>
}

interface Pair {
  readonly target: number
  readonly near: Socket
  readonly far: Socket
  first: string
}

/** A way of one's own to a service, which can be cut: `url` leads to it by that way. */
export interface Cable extends TcpProxy {
  readonly url: string
}

/** To the host and port of a URL of Postgres. */
export async function startCable(url: string): Promise<Cable> {
  const { host, port } = placeOf(url)
  const proxy = await startProxy(() => [port], host)
  return { ...proxy, url: Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(proxy.port) }).href }
}

/** Where a URL of Postgres leads: without a port, to the usual one. */
export function placeOf(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url)
  return { host: hostname.replaceAll(/^\[|\]$/g, ''), port: Number(port || 5432) }
}

/**
 * Forwards to the first port of `targets()` that takes the connection: it is asked for each, so it may say them in
 * turns.
 */
export async function startProxy(targets: () => readonly number[], host = '127.0.0.1'): Promise<TcpProxy> {
  const pairs = new Set<Pair>()
  const held = new Set<Socket>()
  let isCut = false
  const server = createServer((near) => {
    near.on('error', () => undefined)
    if (isCut) {
      held.add(near)
      return
    }
    void forward(near)
  })

  async function forward(near: Socket): Promise<void> {
    for (const target of targets()) {
      const far = connect(target, host)
      far.on('error', () => undefined)
      const isOpen = await new Promise<boolean>((resolve) => {
        far.once('connect', () => resolve(true))
        far.once('close', () => resolve(false))
      })
      if (!isOpen) continue
      const pair = { target, near, far, first: '' }
      pairs.add(pair)
      near.once('data', (bytes: Buffer) => (pair.first = bytes.toString('latin1')))
      near.pipe(far)
      far.pipe(near)
      for (const socket of [near, far])
        socket.once('close', () => {
          pairs.delete(pair)
          near.destroy()
          far.destroy()
        })
      if (isCut) hang(pair)
      return
    }
    near.destroy()
  }

  function hang({ near, far }: Pair): void {
    near.unpipe(far)
    far.unpipe(near)
    near.pause()
    far.pause()
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port.')
  return {
    port: address.port,
    partition() {
      isCut = true
      for (const pair of pairs) hang(pair)
    },
    freeze(text) {
      for (const pair of pairs) if (pair.first.includes(text)) hang(pair)
    },
    heal() {
      if (!isCut) return
      isCut = false
      for (const { near, far } of pairs) {
        near.pipe(far)
        far.pipe(near)
      }
      for (const near of held) void forward(near)
      held.clear()
    },
    cut(targetPort) {
      for (const { target, near } of pairs) if (target === targetPort) near.destroy()
    },
    async close() {
      for (const { near } of pairs) near.destroy()
      for (const near of held) near.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Targets of a load balancer: all of them but those that are `out`, each time beginning with the next. */
export function inTurns(ports: readonly number[], out: ReadonlySet<number>): () => readonly number[] {
  let next = 0
  return () => {
    const first = next++ % ports.length
    return [...ports.slice(first), ...ports.slice(0, first)].filter((port) => !out.has(port))
  }
}
