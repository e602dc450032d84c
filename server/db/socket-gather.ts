import type { Socket } from 'node:net'

const blockBytes = 64 * 1024

/**
 * Collects the small pieces of an answer, so that the socket is given few large ones. What it is given may change after
 * the call.
 */
export class SocketGather {
  readonly #block = Buffer.allocUnsafeSlow(blockBytes)
  #used = 0

  /** Sends what is full. All pieces until `flush` are for the same socket. */
  add(bytes: Uint8Array, socket: Socket): void {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + blockBytes - this.#used)
      this.#block.set(part, this.#used)
      this.#used += part.length
      at += part.length
      if (this.#used === blockBytes) this.flush(socket)
    }
  }

  /** Sends the rest. */
  flush(socket: Socket): void {
    if (this.#used > 0 && socket.writable) socket.write(Buffer.from(this.#block.subarray(0, this.#used)))
    this.#used = 0
  }
}
