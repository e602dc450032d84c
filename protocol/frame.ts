import { TideError } from './error.ts'
import { invariant } from '../lib/invariant.ts'

/**
 * One message as bytes: `u32 header length | u16 section count | u32 length of each section | header (UTF-8 JSON) |
 * sections`, all little-endian. The header is the message; blocks in it refer to sections by index.
 */
export interface Frame {
  readonly message: unknown
  readonly sections: readonly Uint8Array[]
}

const fixedBytes = 6
const maxSections = 65_535
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

export function encodeFrame(frame: Frame): Uint8Array {
  invariant(
    frame.sections.length <= maxSections,
    `a frame has at most ${maxSections} sections, this one ${frame.sections.length}`,
  )
  const header = encoder.encode(JSON.stringify(frame.message))
  const start = fixedBytes + 4 * frame.sections.length
  const size = frame.sections.reduce((total, section) => total + section.byteLength, start + header.byteLength)
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, header.byteLength, true)
  view.setUint16(4, frame.sections.length, true)
  bytes.set(header, start)
  let offset = start + header.byteLength
  frame.sections.forEach((section, index) => {
    view.setUint32(fixedBytes + 4 * index, section.byteLength, true)
    bytes.set(section, offset)
    offset += section.byteLength
  })
  return bytes
}

/** Takes a frame apart; sections are views into `bytes`. Throws `TideError` `bad_frame`. */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.byteLength < fixedBytes) throw badFrame(`it has ${bytes.byteLength} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const headerLength = view.getUint32(0, true)
  const count = view.getUint16(4, true)
  const start = fixedBytes + 4 * count
  if (start + headerLength > bytes.byteLength) throw badFrame('its header is longer than the frame')
  const sections: Uint8Array[] = []
  let offset = start + headerLength
  for (let index = 0; index < count; index++) {
    const length = view.getUint32(fixedBytes + 4 * index, true)
    if (offset + length > bytes.byteLength) throw badFrame(`section ${index} ends beyond the frame`)
    sections.push(bytes.subarray(offset, offset + length))
    offset += length
  }
  if (offset !== bytes.byteLength) throw badFrame(`${bytes.byteLength - offset} bytes are left over`)
  return { message: parseHeader(bytes.subarray(start, start + headerLength)), sections }
}

function parseHeader(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes))
  } catch (cause) {
    throw new TideError('bad_frame', 'The header of a frame is not JSON in UTF-8.', { cause })
  }
}

function badFrame(what: string): TideError {
  return new TideError('bad_frame', `A frame could not be read: ${what}.`)
}
