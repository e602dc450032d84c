import { EventEmitter } from 'node:events'
import { decodePacket, encodePacket, type Packet } from '../../protocol/packet-codec.ts'

/** Encodings of frames that are sent to many: made once, gone with the frame. */
const encoded = new WeakMap<Uint8Array, Buffer>()

/** `packet-codec.ts` in the shape socket.io wants. */
class Encoder {
  encode(packet: Packet): ReadonlyArray<string | Buffer> {
    const frame: unknown = Array.isArray(packet.data) ? packet.data[1] : undefined
    if (!(frame instanceof Uint8Array)) return [toSendable(encodePacket(packet))]
    const known = encoded.get(frame)
    if (known) return [known]
    const bytes = toSendable(encodePacket(packet))
    if (typeof bytes !== 'string') encoded.set(frame, bytes)
    return [bytes]
  }
}

/** Throws on a packet that cannot be read, upon which socket.io closes the connection. */
class Decoder extends EventEmitter {
  add(data: string | Buffer): void {
    this.emit('decoded', decodePacket(data))
  }

  destroy(): void {
    // Holds nothing between packets.
  }
}

function toSendable(bytes: string | Uint8Array): string | Buffer {
  return typeof bytes === 'string' ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export const socketParser = { Encoder, Decoder }
