import { TideError } from './error.ts'

/**
 * How socket.io packets travel: one WebSocket message for each. A frame of the protocol is the event `f` with one
 * binary argument; as binary message it is the byte 1 and then the frame (socket.io's own parser would send a text
 * message with a placeholder first). Everything else, rare and small, is a JSON text. Gateway and SDK wrap these
 * functions in the Encoder and Decoder classes that socket.io wants.
 */
export interface Packet {
  /** As in socket.io: 0 connect, 1 disconnect, 2 event, 3 acknowledgement, 4 connect error. */
  readonly type: number
  readonly nsp: string
  readonly data?: unknown
  /** Number of the acknowledgement that is asked for or given. */
  readonly id?: number | undefined
}

/** Name of the event that carries frames. */
export const frameEvent = 'f'

const eventType = 2
const lastType = 4
const frameMark = 1
/** Events that socket.io raises itself; from outside they are refused. */
const reserved = new Set(['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'])

export function encodePacket(packet: Packet): string | Uint8Array {
  const frame = frameIn(packet)
  if (!frame) {
    const { type, nsp, data, id } = packet
    return JSON.stringify({ type, nsp, data, id })
  }
  const bytes = new Uint8Array(1 + frame.byteLength)
  bytes[0] = frameMark
  bytes.set(frame, 1)
  return bytes
}

/** Reads a WebSocket message; the frame is a view into it. Throws `TideError` `bad_frame`. */
export function decodePacket(data: string | ArrayBuffer | Uint8Array): Packet {
  if (typeof data === 'string') return checkPacket(parseText(data))
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data)
  if (bytes[0] !== frameMark) throw badPacket(`its first byte is ${bytes[0] ?? 'missing'}`)
  // Made anew, since `subarray` of a Node Buffer is a Buffer again.
  const frame = new Uint8Array(bytes.buffer, bytes.byteOffset + 1, bytes.byteLength - 1)
  return { type: eventType, nsp: '/', data: [frameEvent, frame] }
}

function frameIn(packet: Packet): Uint8Array | undefined {
  if (packet.type !== eventType || packet.nsp !== '/' || packet.id !== undefined) return undefined
  if (!Array.isArray(packet.data) || packet.data.length !== 2) return undefined
  const [event, frame]: readonly unknown[] = packet.data
  return event === frameEvent && frame instanceof Uint8Array ? frame : undefined
}

function parseText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new TideError('bad_frame', 'A packet could not be read: it is text but not JSON.', { cause })
  }
}

function checkPacket(value: unknown): Packet {
  if (!isRecord(value)) throw badPacket('it is not an object')
  const { type, nsp, data, id } = value
  if (typeof type !== 'number' || !Number.isInteger(type) || type < 0 || type > lastType)
    throw badPacket(`its type is ${JSON.stringify(type)}`)
  if (typeof nsp !== 'string') throw badPacket('it has no namespace')
  if (id !== undefined && (typeof id !== 'number' || !Number.isSafeInteger(id)))
    throw badPacket('its id is no whole number')
  if (!isDataOf(type, data)) throw badPacket(`its data do not go with type ${type}`)
  return { type, nsp, ...(data === undefined ? {} : { data }), ...(id === undefined ? {} : { id }) }
}

function isDataOf(type: number, data: unknown): boolean {
  switch (type) {
    case 0:
      return data === undefined || isRecord(data)
    case 1:
      return data === undefined
    case eventType: {
      const event: unknown = Array.isArray(data) ? data[0] : undefined
      return typeof event === 'string' && !reserved.has(event)
    }
    case 3:
      return Array.isArray(data)
    default:
      return typeof data === 'string' || isRecord(data)
  }
}

function isRecord(value: unknown): value is { readonly [key in 'type' | 'nsp' | 'data' | 'id']?: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function badPacket(what: string): TideError {
  return new TideError('bad_frame', `A packet could not be read: ${what}.`)
}
