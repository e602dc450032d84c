/** Bytes as standard base64 with padding: in browsers and Node alike, in pieces that any engine's call stack holds. */
export function toBase64(bytes: Uint8Array): string {
  const pieces: string[] = []
  for (let start = 0; start < bytes.length; start += 0x8000) {
    pieces.push(String.fromCharCode(...bytes.subarray(start, start + 0x8000)))
  }
  return btoa(pieces.join(''))
}

/** The bytes of standard base64, or undefined when it is not in canonical form. */
export function fromBase64(text: string): Uint8Array | undefined {
  let decoded: string
  try {
    decoded = atob(text)
  } catch {
    return undefined
  }
  return btoa(decoded) === text ? Uint8Array.from(decoded, (char) => char.charCodeAt(0)) : undefined
}

/** A vector as base64 of its float32, little-endian. */
export function vectorToBase64(vector: Float32Array): string {
  const bytes = new Uint8Array(vector.length * 4)
  const view = new DataView(bytes.buffer)
  vector.forEach((value, index) => view.setFloat32(index * 4, value, true))
  return toBase64(bytes)
}

/** The vector of `vectorToBase64`, or undefined when it is none. */
export function vectorFromBase64(text: string): Float32Array | undefined {
  const bytes = fromBase64(text)
  if (!bytes || bytes.length % 4 !== 0) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float32Array.from({ length: bytes.length / 4 }, (_, index) => view.getFloat32(index * 4, true))
}
