import { invariant } from '../../lib/invariant.ts'
import { fromBase64 } from '../../protocol/rows/base64.ts'
import { isoToMs } from '../../protocol/rows/iso-time.ts'
import type { Row, Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import { writeUuid } from '../../protocol/rows/uuid-bytes.ts'
import { writeNumeric } from './copy-numeric.ts'
import { GrowingBuffer } from './growing-buffer.ts'
import { writeVector } from './pglite-codecs.ts'

/**
 * Rows in the binary format of COPY: what a bulk load costs is mostly the parsing of text, and this has none. Intervals
 * and addresses have no simple binary form; blocks that hold any take the way of single rows.
 */

/** 1 January 2000, where Postgres counts from, in milliseconds and days since 1970. */
export const epochMs = 946_684_800_000
const dayMs = 86_400_000
const signature = [0x50, 0x47, 0x43, 0x4f, 0x50, 0x59, 0x0a, 0xff, 0x0d, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0]

type Writer = (buffer: GrowingBuffer, value: Exclude<Value, null>) => void

/** Whether all values of these columns have a binary form here. */
export function canCopy(columns: readonly (readonly [string, ColumnDescriptor])[], rows: readonly Row[]): boolean {
  const others = columns.filter(([, column]) => writerOf(column) === undefined)
  return others.every(([property]) => rows.every((row) => (row[property] ?? null) === null))
}

export function encodeCopy(
  columns: readonly (readonly [string, ColumnDescriptor])[],
  rows: readonly Row[],
): Uint8Array<ArrayBuffer> {
  const buffer = beginCopy()
  const writers = columns.map(([property, column]) => [property, writerOf(column)] as const)
  for (const row of rows) {
    buffer.int16(columns.length)
    for (const [property, write] of writers) {
      const value = row[property] ?? null
      if (value === null || write === undefined) buffer.int32(-1)
      else buffer.sized(() => write(buffer, value))
    }
  }
  return endCopy(buffer)
}

export function beginCopy(): GrowingBuffer {
  const buffer = new GrowingBuffer()
  buffer.bytes(Uint8Array.from(signature))
  return buffer
}

export function endCopy(buffer: GrowingBuffer): Uint8Array<ArrayBuffer> {
  buffer.int16(-1)
  return buffer.toBytes()
}

/** How a value of the column is written, without its length; undefined for types that have no binary form here. */
export function writerOf({ type, scale = 0 }: ColumnDescriptor): Writer | undefined {
  switch (type) {
    case 'uuid':
      return (buffer, value) => invariant(writeUuid(String(value), buffer.claim(16), 0), `${String(value)} is a UUID`)
    case 'text':
      return (buffer, value) => buffer.text(String(value))
    case 'jsonb':
      return (buffer, value) => {
        buffer.int8(1)
        buffer.text(JSON.stringify(value))
      }
    case 'integer':
      return (buffer, value) => buffer.int32(Number(value))
    case 'bigint':
      return (buffer, value) => buffer.int64(Number(value))
    case 'double':
      return (buffer, value) => buffer.float64(Number(value))
    case 'boolean':
      return (buffer, value) => buffer.int8(value === true ? 1 : 0)
    case 'timestamptz':
      return (buffer, value) => buffer.int64((msOf(String(value)) - epochMs) * 1000)
    case 'date':
      return (buffer, value) => buffer.int32((msOf(`${String(value)}T00:00:00.000Z`) - epochMs) / dayMs)
    case 'numeric':
      return (buffer, value) => writeNumeric(buffer, typeof value === 'number' ? value.toFixed(scale) : String(value))
    case 'bytea':
      return (buffer, value) => buffer.bytes(fromBase64(String(value)) ?? new Uint8Array())
    case 'text[]':
      return (buffer, value) => writeTexts(buffer, Array.isArray(value) ? value : [])
    case 'vector':
      return (buffer, value) => {
        const vector = value instanceof Float32Array ? value : new Float32Array()
        const bytes = buffer.claim(4 + 4 * vector.length)
        writeVector(new DataView(bytes.buffer, bytes.byteOffset), 0, vector)
      }
    case 'interval':
    case 'inet':
      return undefined
  }
}

function msOf(iso: string): number {
  return isoToMs(iso) ?? Date.parse(iso)
}

function writeTexts(buffer: GrowingBuffer, texts: readonly unknown[]): void {
  const text = 25
  buffer.int32(texts.length === 0 ? 0 : 1)
  buffer.int32(0)
  buffer.int32(text)
  if (texts.length === 0) return
  buffer.int32(texts.length)
  buffer.int32(1)
  for (const element of texts) buffer.sized(() => buffer.text(String(element)))
}
