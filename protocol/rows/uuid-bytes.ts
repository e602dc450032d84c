/** UUIDs as 16 bytes, quick enough for whole columns: both directions go through tables, not through parsing. */

const dash = 45
const notHex = 255

/** Value of a lower-case hex digit by character code. */
const digitOf = new Uint8Array(128).fill(notHex)
const digits = '0123456789abcdef'
for (let value = 0; value < 16; value++) digitOf[digits.charCodeAt(value)] = value

/** Character codes of the two digits of a byte. */
const highCode = Uint8Array.from({ length: 256 }, (_, byte) => digits.charCodeAt(byte >> 4))
const lowCode = Uint8Array.from({ length: 256 }, (_, byte) => digits.charCodeAt(byte & 15))

/** Where in the 36 characters each of the 16 bytes stands. */
const places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const

/** Writes a UUID at `offset`; false (bytes undefined) when `text` is not a UUID in lower case with its dashes. */
export function writeUuid(text: string, bytes: Uint8Array, offset: number): boolean {
  if (text.length !== 36) return false
  if (text.charCodeAt(8) !== dash || text.charCodeAt(13) !== dash) return false
  if (text.charCodeAt(18) !== dash || text.charCodeAt(23) !== dash) return false
  for (let index = 0; index < 16; index++) {
    const place = places[index] ?? 0
    const high = digitOf[text.charCodeAt(place)] ?? notHex
    const low = digitOf[text.charCodeAt(place + 1)] ?? notHex
    if (high === notHex || low === notHex) return false
    bytes[offset + index] = (high << 4) | low
  }
  return true
}

/** The UUID at `offset`, in lower case with dashes. `bytes` holds at least 16 from there. */
export function readUuid(bytes: Uint8Array, offset: number): string {
  for (let index = 0; index < 16; index++) {
    const byte = bytes[offset + index] ?? 0
    const place = places[index] ?? 0
    codes[place] = highCode[byte] ?? 0
    codes[place + 1] = lowCode[byte] ?? 0
  }
  // One flat string; joining 16 pieces would make a tree of strings that costs ten times as much to build and to hash.
  return String.fromCharCode(...codes)
}

const codes: number[] = Array.from({ length: 36 }, () => dash)
