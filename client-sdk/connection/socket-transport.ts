import { io } from 'socket.io-client'
import { frameEvent } from '../../protocol/packet-codec.ts'
import { socketParser } from './socket-parser.ts'
import type { Transport, TransportConnection, TransportListener } from './transport.ts'

/**
 * The real transport: socket.io over WebSocket alone, one binary message per frame. Its own reconnection is off, since
 * `connection-state.ts` decides when to try. `url`: `http:` or `https:`, of the server.
 */
export function createSocketTransport(url: string): Transport {
  return { open: (listener) => open(url, listener) }
}

function open(url: string, listener: TransportListener): TransportConnection {
  const socket = io(url, {
    transports: ['websocket'],
    upgrade: false,
    reconnection: false,
    forceNew: true,
    autoConnect: false,
    parser: socketParser,
  })
  let isEnded = false
  const end = (reason: string): void => {
    if (isEnded) return
    isEnded = true
    socket.off()
    socket.disconnect()
    listener.closed(reason)
  }
  socket.on('connect', () => listener.opened())
  socket.on('connect_error', (error) => end(`${url} could not be reached (${error.message})`))
  socket.on('disconnect', (reason) => end(reason))
  socket.on(frameEvent, (frame: unknown) => {
    if (isEnded) return
    if (frame instanceof Uint8Array) listener.received(frame)
    else end('a packet without a frame came')
  })
  socket.connect()
  return {
    send: (frame) => void socket.emit(frameEvent, frame),
    close: () => end('closed here'),
  }
}
