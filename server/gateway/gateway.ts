/**
 * The gateway: sockets outside, sessions inside. socket.io over WebSocket alone (no polling, so no sticky sessions
 * within one server), one binary message per frame. A connection (`connection.ts`)
 * that was greeted has a session (`session.ts`).
 */
import type { IncomingMessage, Server as HttpServer } from 'node:http'
import { Server, type DefaultEventsMap, type Socket } from 'socket.io'
import type { Random } from '../../lib/random.ts'
import { isPublicAddress, networkOf } from '../../lib/ip-address.ts'
import { TideError } from '../../protocol/error.ts'
import { frameEvent } from '../../protocol/packet-codec.ts'
import { messageFrame } from '../../protocol/parse.ts'
import { Admissions } from './admissions.ts'
import type { GatewayDeps } from './gateway-deps.ts'
import { Connection } from './connection.ts'
import { Expiries } from './expiries.ts'
import { isOriginAllowed } from './origin.ts'
import { DistantPeers, type PresenceCarrier, type PresenceNews } from './distant-peers.ts'
import { Presence } from './presence.ts'
import type { OpenedAdapter } from './redis-adapter.ts'
import { socketParser } from './socket-parser.ts'
import { limitFrames, SocketTransport } from './socket-transport.ts'
import { toTideError } from './tell-error.ts'

export { listen } from './listen.ts'
export { watchRequests } from './requests-in-flight.ts'
export { openAdapter } from './redis-adapter.ts'
export { createHttpHandler, type Readiness } from './http.ts'
export type { Pusher } from './seams.ts'
export { createRequestAddress } from './request-address.ts'
export { createSignInRoutes } from './sign-in-routes.ts'

export interface Gateway {
  /** Connections now, greeted or not. */
  readonly connections: number
  /**
   * Takes no more connections, lets the pushes that have begun end, and sends everyone elsewhere: one after the other,
   * so that not all come to the other servers at once.
   */
  drain(): Promise<void>
  /** Tells everyone something that concerns all. */
  tell(error: TideError): void
  /** Cuts all connections; clients come back by themselves. */
  close(): Promise<void>
}

/** Detects a dead peer within a minute, and keeps middleboxes from forgetting a quiet connection. Milliseconds. */
const pingIntervalMs = 25_000
const pingTimeoutMs = 20_000
/**
 * Clients are sent away at this pace, all of them within `drainMs`; each is asked to wait up to `returnMs`.
 * Milliseconds.
 */
const drainEachMs = 2
const drainMs = 5000
const returnMs = 500

export interface GatewayOptions extends Omit<
  GatewayDeps,
  'presence' | 'expiries' | 'byDevice' | 'opened' | 'admissions'
> {
  /** As in `Config`. */
  readonly allowedOrigins: readonly string[]
  /** How this server and the others reach each other; absent: presence is of this server alone. */
  readonly others?: OtherServers | undefined
  readonly random: Random
  /** Where a request comes from; absent: connections are not counted by it. */
  readonly addressOf?: (request: IncomingMessage) => string | undefined
}

export interface OtherServers {
  /** The name of this server among them. */
  readonly node: string
  /** Carries what socket.io says among servers. */
  readonly adapter: OpenedAdapter
}

/** What is said among servers, over socket.io's adapter. */
interface ServerEvents {
  readonly presence: (news: PresenceNews) => void
  /** A device has begun a session on the server that says so, at this time. */
  readonly device: (deviceId: string, at: number) => void
}

/** Puts the gateway on an HTTP server. */
export function attachGateway(http: HttpServer, deps: GatewayOptions): Gateway {
  const presence = new Presence(deps.clock)
  const byDevice: GatewayDeps['byDevice'] = new Map()
  const opened = (deviceId: string): void => {
    if (others) io.serverSideEmit('device', deviceId, clock.now())
  }
  const { limits } = deps
  const admissions = new Admissions('user or agent', limits.connectionsPerPrincipal)
  const places = new Admissions('address', limits.connectionsPerAddress)
  const all: GatewayDeps = { ...deps, presence, expiries: new Expiries(deps.clock), byDevice, opened, admissions }
  const connections = new Set<Connection>()
  const { others, clock, random } = deps
  let isDraining = false
  // Above the limit that is answered with a code, so that only the absurd is cut without a word.
  const frameBytes = limits.messageBytes * 2 + 1024
  const io = new Server<DefaultEventsMap, DefaultEventsMap, ServerEvents>(http, {
    ...(others ? { adapter: others.adapter } : {}),
    transports: ['websocket'],
    allowUpgrades: false,
    serveClient: false,
    perMessageDeflate: false,
    parser: socketParser,
    pingInterval: pingIntervalMs,
    pingTimeout: pingTimeoutMs,
    connectTimeout: deps.limits.helloMs,
    allowRequest: (_, answer) => answer(isDraining ? 'The server ends.' : undefined, !isDraining),
    maxHttpBufferSize: frameBytes,
  })
  io.engine.on('connection', (conn: Socket['conn']) => limitFrames(conn, limits.helloBytes + 1024))
  io.on('connection', (socket) => {
    const { origin, host } = socket.handshake.headers
    if (!isOriginAllowed(origin, host, deps.allowedOrigins)) return refuse(socket, originRefusal(origin))
    let leave: () => void
    try {
      leave = enter(socket)
    } catch (error) {
      const refusal = toTideError(error, deps)
      deps.count?.('refused', refusal.code)
      return refuse(socket, refusal)
    }
    const transport = new SocketTransport(socket, frameBytes)
    forgetHandshake(socket)
    const connection = new Connection(all, transport)
    connections.add(connection)
    socket.on(frameEvent, (frame: unknown) =>
      connection.receive(frame instanceof Uint8Array ? frame : new Uint8Array(0)),
    )
    socket.on('disconnect', () => {
      connections.delete(connection)
      connection.close()
      leave()
    })
  })
  /** Counts a connection from a public address. Throws `too_many_connections`. */
  function enter(socket: Socket): () => void {
    const address = deps.addressOf?.(socket.request)
    return address !== undefined && isPublicAddress(address) ? places.enter(networkOf(address)) : () => undefined
  }
  if (others) {
    const { node } = others
    const carrier: PresenceCarrier = {
      tell: (news) => void io.serverSideEmit('presence', news),
      hear: (listener) => void io.on('presence', listener),
    }
    io.on('device', (deviceId, at) => {
      const connection = byDevice.get(deviceId)
      // It has come back here since: the news is old.
      if (connection && connection.openedAt < at) connection.close()
    })
    presence.join(new DistantPeers({ node, carrier, clock }))
  }
  return {
    get connections() {
      return connections.size
    },
    async drain() {
      isDraining = true
      const all = [...connections]
      const each = Math.min(drainEachMs, drainMs / all.length)
      await Promise.all(
        all.map(async (connection, index) => {
          await new Promise<void>((resolve) => void clock.after(index * each, resolve))
          await connection.drain(Math.ceil(random.next() * returnMs))
        }),
      )
    },
    tell(error) {
      for (const connection of connections) connection.tell(error)
    },
    async close() {
      presence.stop()
      deps.standings?.stop()
      for (const connection of connections) connection.close()
      await io.close()
    },
  }
}

function originRefusal(origin: string | undefined): TideError {
  return new TideError('origin_not_allowed', `This server takes no connections from pages of ${origin}.`)
}

/** In words: a browser shows its page nothing of a refused handshake. */
function refuse(socket: Socket, error: TideError): void {
  socket.emit(frameEvent, messageFrame({ type: 'error', fatal: true, error: error.toBody() }))
  socket.disconnect(true)
}

/** The request that opened a connection, and its headers, would otherwise stay as long as it does: 2 KiB of it. */
function forgetHandshake(socket: Socket): void {
  const { conn }: { conn: { request: IncomingMessage | undefined } } = socket
  conn.request = undefined
  socket.handshake.headers = {}
}
