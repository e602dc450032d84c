import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

const bufferBytes = 64 * 1024
const bulk = new WeakSet<Duplex>()
const readers = new WeakMap<Duplex, (bytes: Buffer) => void>()

/**
 * A socket for pg that reads into one buffer again and again: else every 64 KiB that Postgres sends are a buffer of
 * their own, and collecting those costs more than packing what is in them. pg, which keeps parts of what it gets, is
 * given copies. Under TLS it is a socket like any other.
 */
export function createBulkSocket(config: { readonly ssl?: unknown } = {}): Socket {
  if (config.ssl !== undefined && config.ssl !== false) return new Socket()
  const socket: Socket = new Socket({
    onread: {
      buffer: Buffer.allocUnsafeSlow(bufferBytes),
      callback: (length, buffer) => {
        const bytes = Buffer.from(buffer.buffer, buffer.byteOffset, length)
        const read = readers.get(socket)
        if (read) read(bytes)
        else socket.emit('data', Buffer.from(bytes))
        return true
      },
    },
  })
  bulk.add(socket)
  return socket
}

/**
 * Sends what comes to `read`, during whose call alone it is valid, and not to the listeners, until it is undefined.
 * False: the stream is another.
 */
export function readInPlace(stream: Duplex, read: ((bytes: Buffer) => void) | undefined): boolean {
  if (!bulk.has(stream)) return false
  if (read) readers.set(stream, read)
  else readers.delete(stream)
  return true
}
