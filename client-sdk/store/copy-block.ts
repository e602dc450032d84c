import type { ColumnBlock, PackedBlock } from '../../protocol/rows/block.ts'
import { columnValues } from '../../protocol/rows/column-unpack.ts'
import { isPresent } from '../../protocol/rows/presence.ts'
import type { Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import { lengthsOf } from '../../protocol/rows/text-section.ts'
import { beginCopy, endCopy, epochMs, writerOf } from './copy-binary.ts'
import { GrowingBuffer } from './growing-buffer.ts'
import { jsonElements } from './json-elements.ts'

type Column = readonly [property: string, column: ColumnDescriptor]

/** Writes the field of a row, its length before it. Called for the rows in order. */
type FieldWriter = (buffer: GrowingBuffer, row: number) => void

/**
 * A block in the binary format of COPY, column by column from the packed bytes: texts, ids and JSON are copied as they
 * are, and what all rows share is written once and copied. Undefined: a column has a form that only the way by rows
 * knows. `columns`: those of the table that the block has, in the order of the COPY; the block has passed `checkBlock`.
 */
export function encodeBlock(
  columns: readonly Column[],
  { block, sections }: PackedBlock,
): Uint8Array<ArrayBuffer> | undefined {
  const byName = new Map(block.columns.map((column) => [column.name, column]))
  const fields: (FieldWriter | Uint8Array)[] = []
  for (const [property, descriptor] of columns) {
    const packed = byName.get(property)
    const field = packed && fieldOf(descriptor, packed, sections, block.count)
    if (!field) return undefined
    const last = fields.at(-1)
    if (field instanceof Uint8Array && last instanceof Uint8Array) fields[fields.length - 1] = joined(last, field)
    else fields.push(field)
  }
  const buffer = beginCopy()
  for (let row = 0; row < block.count; row++) {
    buffer.int16(columns.length)
    for (const field of fields) {
      if (field instanceof Uint8Array) buffer.bytes(field)
      else field(buffer, row)
    }
  }
  return endCopy(buffer)
}

/** The bytes of a field that is the same in all rows, or what writes it. */
function fieldOf(
  descriptor: ColumnDescriptor,
  packed: ColumnBlock,
  sections: readonly Uint8Array[],
  count: number,
): FieldWriter | Uint8Array | undefined {
  switch (packed.kind) {
    case 'const':
      return encodeField(descriptor, packed.value)
    case 'dict': {
      const fields = packed.values.map((value) => encodeField(descriptor, value))
      const codes = sections[packed.section] ?? none
      if (!fields.every((field) => field !== undefined)) return undefined
      return (buffer, row) => buffer.bytes(fields[codes[row] ?? 0] ?? none)
    }
    case 'list':
      return descriptor.type === 'jsonb'
        ? jsonField(sections[packed.section] ?? none)
        : valuesField(descriptor, columnValues(packed, sections, count))
    case 'json':
    case 'vector':
      return valuesField(descriptor, columnValues(packed, sections, count))
    default: {
      const present = presentField(descriptor, packed, sections)
      return present && packed.present !== undefined ? nullable(present, sections[packed.present] ?? none) : present
    }
  }
}

const none = new Uint8Array(0)

function encodeField(descriptor: ColumnDescriptor, value: Value): Uint8Array | undefined {
  const field = valuesField(descriptor, [value])
  if (field === undefined) return undefined
  const buffer = new GrowingBuffer(64)
  field(buffer, 0)
  return buffer.toBytes()
}

function valuesField(descriptor: ColumnDescriptor, values: readonly Value[]): FieldWriter | undefined {
  const write = writerOf(descriptor)
  if (write === undefined && values.some((value) => value !== null)) return undefined
  return (buffer, row) => {
    const value = values[row] ?? null
    if (value === null || write === undefined) buffer.int32(-1)
    else buffer.sized(() => write(buffer, value))
  }
}

/** Each element as the server wrote it. */
function jsonField(list: Uint8Array): FieldWriter {
  const next = jsonElements(list)
  return (buffer) => {
    const element = next()
    if (isNull(element)) return buffer.int32(-1)
    buffer.int32(1 + element.length)
    buffer.int8(1)
    buffer.bytes(element)
  }
}

/** The one JSON value that begins with an n. */
function isNull(element: Uint8Array): boolean {
  return element[0] === 0x6e
}

/** For the rows that have a value, in order. */
function presentField(
  descriptor: ColumnDescriptor,
  packed: Extract<ColumnBlock, { readonly kind: 'uuid' | 'number' | 'time' | 'text' }>,
  sections: readonly Uint8Array[],
): FieldWriter | undefined {
  const section = sections[packed.section] ?? none
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength)
  let at = 0
  switch (packed.kind) {
    case 'uuid':
      if (descriptor.type !== 'uuid') return undefined
      return (buffer) => {
        buffer.int32(16)
        buffer.bytes(section.subarray(at, at + 16))
        at += 16
      }
    case 'time':
      if (descriptor.type !== 'timestamptz') return undefined
      return (buffer) => {
        buffer.int32(8)
        buffer.int64((view.getFloat64(at, true) - epochMs) * 1000)
        at += 8
      }
    case 'number': {
      const write = writerOf(descriptor)
      if (write === undefined) return undefined
      return (buffer) => {
        const value = view.getFloat64(at, true)
        at += 8
        buffer.sized(() => write(buffer, value))
      }
    }
    case 'text': {
      if (descriptor.type !== 'text') return undefined
      const lengths = lengthsOf(sections[packed.lengths] ?? none)
      let next = 0
      return (buffer) => {
        const length = lengths[next++] ?? 0
        buffer.int32(length)
        buffer.bytes(section.subarray(at, at + length))
        at += length
      }
    }
  }
}

function nullable(field: FieldWriter, bits: Uint8Array): FieldWriter {
  return (buffer, row) => {
    if (isPresent(bits, row)) field(buffer, row)
    else buffer.int32(-1)
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length)
  bytes.set(a)
  bytes.set(b, a.length)
  return bytes
}
