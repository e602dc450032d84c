// The floor that our server stands on, in a process of its own as ours is: a bare `ws` or socket.io server that sends
// one text to all who are connected. Told what to do by its parent; see broadcast.ts.
import { createServer } from 'node:http'
import { Server as SocketIoServer } from 'socket.io'
import { WebSocketServer, type WebSocket } from 'ws'
import type { RawCommand, RawKind, RawReport } from './broadcast.ts'

const kind = process.argv[2] as RawKind
const http = createServer()
const { broadcast, backlog } = kind === 'ws' ? listenRaw() : listenSocketIo()
http.listen(0, '127.0.0.1', () => {
  const address = http.address()
  report({ kind: 'ready', port: typeof address === 'object' && address ? address.port : 0 })
})

process.on('message', (command: RawCommand) => {
  if (command.kind === 'paced') paced(command)
  else flood(command)
})

function listenRaw(): { broadcast: (text: string) => void; backlog: () => number } {
  const server = new WebSocketServer({ server: http, perMessageDeflate: false })
  // What both protocols do before the first message: the engine.io handshake of client/engine-socket.ts.
  server.on('connection', (socket) => {
    socket.on('message', () => socket.send('40'))
    socket.send('0')
  })
  return {
    broadcast: (text) => {
      const bytes = Buffer.from(`42["f",${JSON.stringify(text)}]`)
      for (const socket of server.clients) socket.send(bytes, { binary: false })
    },
    backlog: () => firstBuffered(server.clients),
  }
}

function listenSocketIo(): { broadcast: (text: string) => void; backlog: () => number } {
  const io = new SocketIoServer(http, {
    transports: ['websocket'],
    allowUpgrades: false,
    serveClient: false,
    perMessageDeflate: false,
  })
  const sockets = new Set<WebSocket>()
  io.engine.on('connection', (socket: { transport: { socket: WebSocket } }) => sockets.add(socket.transport.socket))
  return { broadcast: (text) => void io.emit('f', text), backlog: () => firstBuffered(sockets) }
}

function firstBuffered(sockets: Iterable<WebSocket>): number {
  for (const socket of sockets) return socket.bufferedAmount
  return 0
}

/** Messages begin with the time of sending on the machine's monotonic clock, in nanoseconds. */
function message(bytes: number): string {
  return String(process.hrtime.bigint()).padEnd(bytes, ' ')
}

function paced({ bytes, perSecond, seconds }: Extract<RawCommand, { kind: 'paced' }>): void {
  let left = Math.round(perSecond * seconds)
  const start = performance.now()
  let sent = 0
  const timer = setInterval(() => {
    const due = Math.min(left, Math.floor(((performance.now() - start) * perSecond) / 1000) - sent)
    for (let index = 0; index < due; index++) broadcast(message(bytes))
    sent += Math.max(0, due)
    left -= Math.max(0, due)
    if (left > 0) return
    clearInterval(timer)
    report({ kind: 'sent', messages: sent })
  }, 1)
}

/** As fast as the sockets take them: no more than a megabyte waits in the first one. */
function flood({ bytes, seconds }: Extract<RawCommand, { kind: 'flood' }>): void {
  const end = performance.now() + seconds * 1000
  let sent = 0
  const next = (): void => {
    for (let index = 0; index < 4 && backlog() < 64 * 1024; index++, sent++) broadcast(message(bytes))
    if (performance.now() < end) setImmediate(next)
    else report({ kind: 'sent', messages: sent })
  }
  next()
}

function report(message: RawReport): void {
  process.send?.(message)
}
