import { WebSocket } from 'ws'

/**
 * What a connection tells its owner. Messages are text, or bytes that are only valid during the call if they are kept
 * as views.
 */
export interface EngineListener {
  /** The engine.io handshake is done: socket.io packets may be sent. */
  readonly opened: () => void
  readonly message: (data: string | Buffer) => void
  readonly closed: (reason: string) => void
}

export interface EngineConnection {
  send(data: string | Uint8Array): void
  close(): void
}

/**
 * The least that engine.io 4 asks of a client, straight on `ws`: a thousand of these weigh less than a few dozen
 * socket.io clients, so that the load leaves the two cores to the server.
 */
export function openEngineSocket(url: string, listener: EngineListener): EngineConnection {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`, {
    perMessageDeflate: false,
    skipUTF8Validation: true,
  })
  socket.on('message', (data: Buffer, isBinary) => {
    if (isBinary) return listener.message(data)
    const text = data.toString()
    // engine.io: 0 open, 1 close, 2 ping, 3 pong, 4 message
    if (text.startsWith('4')) listener.message(text.slice(1))
    else if (text === '2') socket.send('3')
    else if (text.startsWith('0')) listener.opened()
  })
  socket.on('error', (error) => listener.closed(error.message))
  socket.on('close', (code) => listener.closed(`closed with code ${code}`))
  return {
    send: (data) => socket.send(typeof data === 'string' ? `4${data}` : data),
    close: () => socket.close(),
  }
}
