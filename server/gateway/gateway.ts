/**
 * The gateway: sockets outside, sessions inside. socket.io over WebSocket alone (no polling, so no sticky sessions
 * within one node), one binary message per frame. What a session does is in `connection-handler.ts`.
 */
import type { Server as HttpServer } from 'node:http'
import { Server, type Socket } from 'socket.io'
import { frameEvent } from '../../protocol/packet-codec.ts'
import { GatewaySession, type GatewayDeps } from './connection-handler.ts'
import { Presence } from './presence.ts'
import { socketParser } from './socket-parser.ts'

export { createHttpHandler, type Readiness } from './http.ts'
export type { Pusher } from './seams.ts'

export interface Gateway {
  /** Connections now, greeted or not. */
  readonly connections: number
  /** Cuts all connections; clients come back by themselves. */
  close(): Promise<void>
}

/** Detects a dead peer within a minute, and keeps middleboxes from forgetting a quiet connection. Milliseconds. */
const pingIntervalMs = 25_000
const pingTimeoutMs = 20_000

/** Puts the gateway on an HTTP server. */
export function attachGateway(http: HttpServer, deps: Omit<GatewayDeps, 'presence' | 'byDevice'>): Gateway {
  const all: GatewayDeps = { ...deps, presence: new Presence(deps.clock), byDevice: new Map() }
  const sessions = new Set<GatewaySession>()
  const io = new Server(http, {
    transports: ['websocket'],
    allowUpgrades: false,
    serveClient: false,
    perMessageDeflate: false,
    parser: socketParser,
    pingInterval: pingIntervalMs,
    pingTimeout: pingTimeoutMs,
    connectTimeout: deps.limits.helloMs,
    // Above the limit that is answered with a code, so that only the absurd is cut without a word.
    maxHttpBufferSize: deps.limits.messageBytes * 2 + 1024,
  })
  io.on('connection', (socket) => {
    const session = new GatewaySession(all, transportOf(socket))
    sessions.add(session)
    socket.on(frameEvent, (frame: unknown) => session.receive(frame instanceof Uint8Array ? frame : new Uint8Array(0)))
    socket.on('disconnect', () => {
      sessions.delete(session)
      session.close()
    })
  })
  return {
    get connections() {
      return sessions.size
    },
    async close() {
      for (const session of sessions) session.close()
      await io.close()
    },
  }
}

function transportOf(socket: Socket): { send(frame: Uint8Array): void; close(): void } {
  return {
    send: (frame) => void socket.emit(frameEvent, frame),
    close: () => void socket.disconnect(true),
  }
}
