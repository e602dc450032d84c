import { decodePacket, encodePacket, type Packet } from '../../protocol/packet-codec.ts'

type Listener = (packet: Packet) => void

/** `packet-codec.ts` in the shape socket.io-client wants: one WebSocket message per packet. */
class Encoder {
  encode(packet: Packet): ReadonlyArray<string | Uint8Array> {
    return [encodePacket(packet)]
  }
}

/** The few methods of an emitter that socket.io-client calls on a decoder; browsers have no `node:events`. */
class Decoder {
  readonly #listeners = new Map<string, Set<Listener>>()

  on(event: string, listener: Listener): this {
    this.#listeners.set(event, (this.#listeners.get(event) ?? new Set<Listener>()).add(listener))
    return this
  }

  off(event: string, listener: Listener): this {
    this.#listeners.get(event)?.delete(listener)
    return this
  }

  /** Throws on a packet that cannot be read, upon which socket.io-client closes the connection. */
  add(data: string | ArrayBuffer | Uint8Array): void {
    const packet = decodePacket(data)
    for (const listener of [...(this.#listeners.get('decoded') ?? [])]) listener(packet)
  }

  destroy(): void {
    // Holds nothing between packets.
  }
}

export const socketParser = { Encoder, Decoder }
