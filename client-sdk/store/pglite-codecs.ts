import type { ParserOptions, SerializerOptions } from '@electric-sql/pglite'
import { toBase64 } from '../../protocol/rows/base64.ts'
import type { Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import type { Executor } from './pglite-like.ts'

/** Numbers of built-in types in every Postgres. */
const oid = {
  bytea: 17,
  int8: 20,
  inet: 869,
  date: 1082,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  numeric: 1700,
} as const

/** How values cross the border of PGlite: parameters in binary where that is much faster, results in canonical form. */
export interface Codecs {
  readonly serializers: SerializerOptions
  readonly parsers: ParserOptions
}

/** Asks the database for the numbers of the types that are not built in. */
export async function createCodecs(database: Executor): Promise<Codecs> {
  const text = `select 'vector'::regtype::oid::int as vector, 'vector[]'::regtype::oid::int as vectors`
  const { rows } = await database.query<{ vector: number; vectors: number }>(text)
  const { vector = 0, vectors = 0 } = rows[0] ?? {}
  return {
    // PGlite sends a Uint8Array as a binary parameter; vectors as text are twelve times slower to parse.
    serializers: {
      [vector]: binary((value: Float32Array) => encodeVector(value)),
      [vectors]: binary((value: readonly (Float32Array | null)[]) => encodeVectors(value, vector)),
      [oid.bytea]: binary((value: Uint8Array) => value),
    },
    parsers: {
      [vector]: (text) => Float32Array.from(JSON.parse(text) as number[]),
      [oid.timestamptz]: isoTime,
      [oid.timestamp]: asText,
      [oid.date]: asText,
      [oid.interval]: asText,
      [oid.inet]: asText,
      [oid.int8]: Number,
      [oid.numeric]: asText,
      [oid.bytea]: (text) => toBase64(fromHex(text)),
    },
  }
}

/** The canonical value of a result whose type alone does not tell: a numeric is a number up to 15 digits. */
export function canonicalResult({ type, precision = 15 }: ColumnDescriptor, value: Value): Value {
  return type === 'numeric' && precision <= 15 && typeof value === 'string' ? Number(value) : value
}

/** Bytes of a `bytea` in text form, `\x00ff`. */
export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array((text.length - 2) / 2)
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = (hexDigit(text.charCodeAt(2 * index + 2)) << 4) | hexDigit(text.charCodeAt(2 * index + 3))
  }
  return bytes
}

/** Codes of 0-9 are 48 to 57, of a-f 97 to 102. */
function hexDigit(code: number): number {
  return code < 58 ? code - 48 : code - 87
}

function asText(text: string): string {
  return text
}

/** `2026-11-22 01:42:36.12+00` as ISO with milliseconds. */
function isoTime(text: string): string {
  const isCommon = text.endsWith('+00') && text.charCodeAt(10) === 32 && text.length >= 22 && text.length <= 26
  if (!isCommon) return new Date(text.replace(' ', 'T')).toISOString()
  const seconds = `${text.slice(0, 10)}T${text.slice(11, 19)}`
  return text.length === 22 ? `${seconds}.000Z` : `${seconds}.${text.slice(20, -3).padEnd(3, '0')}Z`
}

/** A vector as pgvector's `vector_recv` reads it: dimensions, zero, float32 values, big-endian. */
export function encodeVector(vector: Float32Array): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * vector.length)
  writeVector(new DataView(bytes.buffer), 0, vector)
  return bytes
}

export function writeVector(view: DataView, offset: number, vector: Float32Array): void {
  view.setUint16(offset, vector.length)
  view.setUint16(offset + 2, 0)
  for (let index = 0; index < vector.length; index++) view.setFloat32(offset + 4 + 4 * index, vector[index] ?? 0)
}

/** A one-dimensional array as `array_recv` reads it. */
function encodeVectors(vectors: readonly (Float32Array | null)[], elementType: number): Uint8Array {
  const header = 20
  const size = vectors.reduce((total, vector) => total + 4 + (vector === null ? 0 : 4 + 4 * vector.length), header)
  const view = new DataView(new ArrayBuffer(size))
  const words = [1, vectors.includes(null) ? 1 : 0, elementType, vectors.length, 1]
  words.forEach((word, index) => view.setInt32(4 * index, word))
  let offset = header
  for (const vector of vectors) {
    const length = vector === null ? -1 : 4 + 4 * vector.length
    view.setInt32(offset, length)
    offset += 4
    if (vector === null) continue
    writeVector(view, offset, vector)
    offset += length
  }
  return new Uint8Array(view.buffer)
}

/** PGlite's type knows text results only, though it passes bytes through. */
function binary<T>(encode: (value: T) => Uint8Array): (value: T) => string {
  return encode as unknown as (value: T) => string
}
