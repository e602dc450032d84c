/** Values in Postgres' binary format (its `*send` functions), for rows that are read in bulk. */
import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import { msToIso } from '../../protocol/rows/iso-time.ts'
import type { Json, Value } from '../../protocol/rows/row.ts'
import { readUuid } from '../../protocol/rows/uuid-bytes.ts'

/** The canonical value of the bytes from `start` to before `end`. */
export type Decode = (bytes: Buffer, start: number, end: number) => Value

/** 1 January 2000, where Postgres counts from, in milliseconds since 1970. */
const epochMs = 946_684_800_000
const openBrace = 0x7b
/** The greatest time of JavaScript; `infinity` becomes it. */
const maxMs = 8.64e15

/** What is selected for a column: types without a simple binary form as the text that is canonical. */
export function binaryExpression({ type }: ColumnDescriptor, name: string): string {
  switch (type) {
    case 'numeric':
    case 'date':
    case 'interval':
      return `${name}::text`
    // The cast would add /32.
    case 'inet':
      return `textin(inet_out(${name}))`
    case 'text[]':
      return `array_to_json(${name})`
    default:
      return name
  }
}

/** How a value of `binaryExpression` becomes canonical. */
export function binaryDecoder(column: ColumnDescriptor): Decode {
  switch (column.type) {
    case 'uuid':
      return (bytes, start) => readUuid(bytes, start)
    case 'integer':
    case 'bigint':
    case 'double':
    case 'numeric':
      return isNumber(column) ? numberDecoder(column) : decodeText
    case 'boolean':
      return (bytes, start) => bytes[start] === 1
    case 'timestamptz':
      return (bytes, start) => msToIso(readMs(bytes, start))
    case 'jsonb':
    case 'text[]':
      return decodeJson(jsonOffset(column))
    case 'bytea':
      return (bytes, start, end) => bytes.toString('base64', start, end)
    case 'vector':
      return decodeVector
    case 'text':
    case 'date':
    case 'interval':
    case 'inet':
      return decodeText
  }
}

/** Numerics of up to 15 digits are numbers. */
export function isNumber({ type, precision = 16 }: ColumnDescriptor): boolean {
  return type === 'integer' || type === 'bigint' || type === 'double' || (type === 'numeric' && precision <= 15)
}

export function numberDecoder({ type }: ColumnDescriptor): (bytes: Buffer, start: number, end: number) => number {
  if (type === 'numeric') return (bytes, start, end) => Number(bytes.toString('latin1', start, end))
  if (type === 'double')
    return (bytes, start, end) => (end - start === 4 ? bytes.readFloatBE(start) : bytes.readDoubleBE(start))
  return readWhole
}

/**
 * Microseconds since 2000 as milliseconds since 1970. Microseconds of far years are beyond 2^53, so they are divided in
 * halves.
 */
export function readMs(bytes: Buffer, start: number): number {
  const high = bytes.readInt32BE(start)
  const thousands = Math.floor(high / 1000)
  const rest = (high - 1000 * thousands) * 2 ** 32 + bytes.readUInt32BE(start + 4)
  const ms = thousands * 2 ** 32 + Math.floor(rest / 1000) + epochMs
  return Math.max(-maxMs, Math.min(maxMs, ms))
}

/** A jsonb begins with the version of its format. */
export function jsonOffset({ type }: ColumnDescriptor): number {
  return type === 'jsonb' ? 1 : 0
}

/** A vector begins with its dimension and a spare, 16 bits each; big-endian float32 follow. */
export const vectorOffset = 4

function readWhole(bytes: Buffer, start: number, end: number): number {
  switch (end - start) {
    case 2:
      return bytes.readInt16BE(start)
    case 4:
      return bytes.readInt32BE(start)
    default:
      return bytes.readInt32BE(start) * 2 ** 32 + bytes.readUInt32BE(start + 4)
  }
}

function decodeText(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('utf8', start, end)
}

/** Most are empty. */
function decodeJson(skip: number): Decode {
  return (bytes, start, end) => {
    const from = start + skip
    if (end - from !== 2) return JSON.parse(bytes.toString('utf8', from, end)) as Json
    return bytes[from] === openBrace ? {} : (JSON.parse(bytes.toString('latin1', from, end)) as Json)
  }
}

function decodeVector(bytes: Buffer, start: number, end: number): Float32Array {
  const vector = new Float32Array((end - start - vectorOffset) / 4)
  for (let index = 0; index < vector.length; index++)
    vector[index] = bytes.readFloatBE(start + vectorOffset + 4 * index)
  return vector
}
